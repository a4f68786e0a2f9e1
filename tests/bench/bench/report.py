"""What was measured, as medians: tables in Markdown, and everything as JSON.

Ratios are to nginx where it took part, since it is what operators have today.
"""

import json
from statistics import median

KINDS = {
    "rate": ["requests/s", "MB/s", "CPU µs/request", "p50 ms", "p99 ms", "PSS MiB", "RSS MiB"],
    "herd": ["leader ms", "median behind ms", "last behind ms", "CPU µs/request",
             "origin sent MB", "PSS MiB"],
    "memory": ["connections", "PSS before MiB", "PSS with them MiB", "KiB each"],
    "start": ["first object after s", "PSS MiB"],
}
TITLES = {"rate": "Requests", "herd": "Herds", "memory": "Memory of connections",
          "start": "Start"}
BASE = "nginx"


def medians(rounds):
    """The median of each figure over the rounds; figures that a load does not give are none."""
    return {name: median(values) if None not in values else None
            for name in rounds[0] for values in [[one[name] for one in rounds]]}


class Results:
    """Figures by scenario, row and server, round by round."""

    def __init__(self, about):
        self.about = about
        self.scenarios = {}

    def add(self, scenario, server, rows):
        known = self.scenarios.setdefault(
            scenario.name, {"says": scenario.says, "kind": scenario.kind, "rows": {}})
        for row, figures in rows.items():
            servers = known["rows"].setdefault(row, {})
            servers.setdefault(server, []).append(figures)

    def failed(self, scenario, server, why):
        known = self.scenarios.setdefault(
            scenario.name, {"says": scenario.says, "kind": scenario.kind, "rows": {}})
        known.setdefault("failed", {})[server] = why

    def rows(self):
        """(scenario, what it is, kind, server to rounds)"""
        for name, scenario in self.scenarios.items():
            for row, servers in scenario["rows"].items():
                says = scenario["says"] + (f", {row}" if row else "")
                yield name, says, scenario["kind"], servers

    def json(self):
        scenarios = {}
        for name, scenario in self.scenarios.items():
            rows = [{"row": row, "servers": {
                server: {"median": medians(rounds), "rounds": rounds}
                for server, rounds in servers.items()}}
                for row, servers in scenario["rows"].items()]
            scenarios[name] = {**scenario, "rows": rows}
        return json.dumps({**self.about, "scenarios": scenarios}, indent=1)

    def markdown(self):
        machine = self.about["machine"]
        lines = [f"{machine['processor']}, {machine['cores']} cores, "
                 f"{machine['memory_bytes'] / 2**30:.0f} GiB, Linux {machine['kernel']}; "
                 + ", ".join(self.about["versions"].values())
                 + f"; medians of {self.about['rounds']} rounds. "
                 f"× is to {BASE}: more requests/s is better, less of everything else.", ""]
        for kind, columns in KINDS.items():
            rows = [row for row in self.rows() if row[2] == kind]
            if not rows:
                continue
            range_too = [*columns, "origin sent MB"] if kind == "rate" and any(
                "origin_bytes" in rounds[0] for row in rows for rounds in row[3].values()) \
                else columns
            lines += [f"### {TITLES[kind]}", "",
                      "| | | " + " | ".join(range_too) + " |",
                      "|---|---|" + "---:|" * len(range_too)]
            for _, says, _, servers in rows:
                base = medians(servers[BASE]) if BASE in servers else None
                for server, rounds in servers.items():
                    against = base if server != BASE else None
                    cells = cells_of(kind, rounds, against)
                    cells += [""] * (len(range_too) - len(cells))
                    lines.append(f"| {says} | {server} | " + " | ".join(cells) + " |")
                    says = ""
            lines.append("")
        for scenario in self.scenarios.values():
            for server, why in scenario.get("failed", {}).items():
                lines.append(f"- **not measured**: {scenario['says']}, {server}: {why}")
        return "\n".join(lines).rstrip() + "\n"


def cells_of(kind, rounds, base):
    """One line of a table."""
    of = medians(rounds)

    def cell(name, unit=1.0, digits=1, ratio=False):
        if of.get(name) is None:
            return "–"
        value = of[name] / unit
        text = f"{value:,.{digits if value >= 10 or not value else max(digits, 2)}f}"
        if ratio and base and base.get(name):
            text += f" ({of[name] / base[name]:.2f}×)"
        return text

    mib = 2 ** 20
    if kind == "rate":
        cells = [cell("rps", digits=0, ratio=True), cell("bytes_per_second", 1e6, 0),
                 cell("cpu_us", ratio=True), cell("p50", 1e-3, 2), cell("p99", 1e-3, 2),
                 cell("pss", mib, 0), cell("rss", mib, 0)]
        return cells + [cell("origin_bytes", 1e6)] * ("origin_bytes" in of)
    if kind == "herd":
        return [cell("leader", 1e-3), cell("behind_p50", 1e-3), cell("behind_max", 1e-3),
                cell("cpu_us", ratio=True), cell("origin_bytes", 1e6), cell("pss", mib, 0)]
    if kind == "memory":
        return [cell("connections", digits=0), cell("before", mib), cell("pss", mib),
                cell("each", 1024, ratio=True)]
    return [cell("seconds", digits=3, ratio=True), cell("pss", mib)]
