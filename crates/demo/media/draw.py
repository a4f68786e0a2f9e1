"""Draws the demonstration's media: the same hills under four skies.

Usage: draw.py DIRECTORY; needs pillow, numpy and imageio-ffmpeg.
"""
import math, subprocess, sys
from pathlib import Path
import numpy as np
from PIL import Image, ImageDraw, ImageFilter
import imageio_ffmpeg
out = Path(sys.argv[1]); out.mkdir(parents=True, exist_ok=True)
def lerp(a, b, t): return tuple(np.array(a) * (1 - t) + np.array(b) * t)
def scene(w, h, top, low, sun, hills, sun_at=(0.68, 0.42), phase=0.0, sun_r=0.09):
    s = 2; W, H = w * s, h * s
    t = np.linspace(0, 1, H)[:, None, None]
    sky = np.array(top)[None, None, :] * (1 - t) + np.array(low)[None, None, :] * t
    img = np.repeat(sky, W, axis=1)
    yy, xx = np.mgrid[0:H, 0:W]
    cx, cy = sun_at[0] * W, sun_at[1] * H
    d = np.hypot(xx - cx, yy - cy)
    glow = np.exp(-((d / (0.30 * H)) ** 2))[:, :, None] * 0.55
    img = img * (1 - glow) + np.array(sun)[None, None, :] * glow
    im = Image.fromarray(img.clip(0, 255).astype("uint8"))
    dr = ImageDraw.Draw(im)
    r = sun_r * H
    dr.ellipse((cx - r, cy - r, cx + r, cy + r), fill=tuple(int(c) for c in sun))
    for i, colour in enumerate(hills):
        base = H * (0.58 + 0.12 * i)
        pts = [(0, H)]
        for x in range(0, W + 8, 8):
            u = x / W * math.tau
            y = base + H * 0.045 * math.sin(u * (0.9 + 0.35 * i) + 1.7 * i + phase * (i + 1)) + H * 0.022 * math.sin(u * (2.3 + i) + 0.8 * i - phase)
            pts.append((x, y))
        pts.append((W, H))
        dr.polygon(pts, fill=colour)
    return im.resize((w, h), Image.LANCZOS)
DAWN = dict(top=(70, 90, 160), low=(255, 190, 150), sun=(255, 236, 190), hills=[(126, 110, 160), (92, 78, 132), (56, 48, 92)])
NOON = dict(top=(70, 150, 220), low=(200, 232, 245), sun=(255, 252, 225), hills=[(128, 186, 140), (84, 150, 108), (44, 104, 80)])
DUSK = dict(top=(60, 40, 100), low=(250, 130, 90), sun=(255, 210, 130), hills=[(150, 78, 104), (104, 52, 86), (54, 28, 60)])
NIGHT = dict(top=(10, 16, 44), low=(48, 66, 120), sun=(236, 238, 250), hills=[(36, 50, 92), (24, 34, 68), (12, 18, 40)])
scene(960, 600, **DAWN, sun_at=(0.30, 0.46)).save(out / "dawn.webp", quality=82, method=6)
scene(960, 600, **NOON, sun_at=(0.70, 0.20)).save(out / "noon.avif", quality=62, speed=3)
scene(960, 600, **DUSK).save(out / "dusk.jpg", quality=84, optimize=True, progressive=True)
scene(480, 300, **NIGHT, sun_at=(0.74, 0.24), sun_r=0.07).save(out / "night.png", optimize=True)
(out / "moon.svg").write_text('''<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 320 200" width="320" height="200">
  <defs>
    <linearGradient id="sky" x2="0" y2="1"><stop stop-color="#0a102c"/><stop offset="1" stop-color="#304278"/></linearGradient>
  </defs>
  <rect width="320" height="200" fill="url(#sky)"/>
  <g fill="#eceefa"><circle cx="40" cy="36" r="1.4"/><circle cx="92" cy="58" r="1"/><circle cx="134" cy="24" r="1.6"/><circle cx="282" cy="30" r="1.2"/><circle cx="186" cy="72" r="1"/><circle cx="20" cy="88" r="1"/></g>
  <path d="M250 36a30 30 0 1 0 14 54 25 25 0 0 1-14-54z" fill="#eceefa"/>
  <path d="M0 136q50-26 104-4t112-6 104 0v74H0z" fill="#24325c"/>
  <path d="M0 162q64-22 128 0t192-6v44H0z" fill="#182244"/>
  <path d="M0 184q80-16 160-2t160-2v20H0z" fill="#0c1228"/>
</svg>
''')
fps, n, w, h = 24, 48, 480, 300
ff = imageio_ffmpeg.get_ffmpeg_exe()
p = subprocess.Popen([ff, "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{w}x{h}", "-r", str(fps), "-i", "-",
  "-c:v", "libx264", "-preset", "veryslow", "-crf", "27", "-pix_fmt", "yuv420p", "-profile:v", "main", "-movflags", "+faststart",
  "-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact", str(out / "day.mp4")], stdin=subprocess.PIPE)
skies = [DAWN, NOON, DUSK, DAWN]
for f in range(n):
    t = f / n * 3; i = int(t); u = t - i; u = u * u * (3 - 2 * u)
    a, b = skies[i], skies[i + 1]
    mix = dict(top=lerp(a["top"], b["top"], u), low=lerp(a["low"], b["low"], u), sun=lerp(a["sun"], b["sun"], u),
        hills=[tuple(int(c) for c in lerp(x, y, u)) for x, y in zip(a["hills"], b["hills"])])
    ang = f / n * math.tau
    p.stdin.write(scene(w, h, **mix, sun_at=(0.5 - 0.32 * math.cos(ang), 0.42 - 0.22 * math.sin(ang)), phase=ang).tobytes())
p.stdin.close(); sys.exit(p.wait())
