"""The hits as a chart: requests a second beside each other, and what each costs, as SVG."""

from html import escape

from .report import medians

COLOURS = {"gateway": "#d9480f", "nginx": "#4c6ef5", "varnish": "#868e96"}
WIDTH, LEFT, BAR, GAP, HEAD = 760, 230, 13, 14, 64
FONT = 'font-family="system-ui, sans-serif"'


def svg(results):
    """None where nothing of the kind was measured."""
    rows = [(says, {server: medians(rounds) for server, rounds in servers.items()})
            for _, says, kind, servers in results.rows() if kind == "rate" and len(servers) > 1]
    if not rows:
        return None
    height = HEAD + sum(len(servers) * BAR + GAP for _, servers in rows) + 24
    middle = (WIDTH - LEFT) / 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" {FONT} font-size="11">',
        "<title>Requests a second, and processor time for each request</title>",
        # A README is shown on light and on dark.
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        text(LEFT, 44, "requests/s (longer is better)", weight="bold"),
        text(LEFT + middle, 44, "CPU µs/request (shorter is better)", weight="bold")]
    for at, (server, colour) in enumerate(COLOURS.items()):
        parts.append(f'<rect x="{LEFT + at * 90}" y="14" width="10" height="10" '
                     f'fill="{colour}"/>' + text(LEFT + at * 90 + 15, 23, server))
    y = HEAD
    for says, servers in rows:
        parts.append(text(LEFT - 10, y + len(servers) * BAR / 2 + 4, says, anchor="end"))
        for figure, x in (("rps", LEFT), ("cpu_us", LEFT + middle)):
            # Each scenario has its own scale: only servers are compared.
            most = max(figures[figure] for figures in servers.values()) or 1
            for at, (server, figures) in enumerate(servers.items()):
                length = (middle - 80) * figures[figure] / most
                top = y + at * BAR
                parts.append(f'<rect x="{x}" y="{top}" width="{length:.1f}" '
                             f'height="{BAR - 2}" fill="{COLOURS[server]}"/>'
                             + text(x + length + 4, top + 9, f"{figures[figure]:,.0f}"))
        y += len(servers) * BAR + GAP
    parts.append("</svg>\n")
    return "\n".join(parts)


def text(x, y, said, anchor="start", weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" '
            f'fill="#212529">{escape(said)}</text>')
