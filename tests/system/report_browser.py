# SPDX-License-Identifier: Apache-2.0
"""report.html in a real browser, headless: drawn on a narrow and on a wide screen, light and dark, and printed; with its text, with
contrast enough to read it, nothing wider than the screen, and without a word on the console.

Exits 77, which is a skipped test, where no browser is installed.
"""
import html
import json
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import zlib

from run_twistor import QUICKSTART, SMALL, expect, main, succeed

BROWSER = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
if BROWSER is None:
    print("skipped: there is no chromium")
    sys.exit(77)


def browse(folder, *words):
    """What the browser says on stdout, and on the page's console; with a profile of its own."""
    done = subprocess.run([BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr",
                           f"--user-data-dir={folder}/profile", *words], capture_output=True, timeout=100, check=False)
    err = done.stderr.decode(errors="replace")
    expect(done.returncode == 0, f"expected the browser to end well, got {done.returncode}: {err[-1000:]}")
    return done.stdout.decode(errors="replace"), [line for line in err.splitlines() if "CONSOLE" in line]


def picture(file):
    """Width, height and the different rows of pixels of a PNG, as they are packed: a blank page has few."""
    data, at, packed = file.read_bytes(), 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        if kind == b"IHDR":
            width, height = struct.unpack(">II", data[at + 8:at + 16])
        packed += data[at + 8:at + 8 + size] if kind == b"IDAT" else b""
        at += size + 12
    rows = zlib.decompress(packed)
    stride = len(rows) // height
    # The first pixel has no neighbours that a filter could take away from it.
    return width, height, len({rows[i:i + stride] for i in range(0, len(rows), stride)}), tuple(rows[1:4])


# Appended to a copy of the page: what the browser knows of its layout and colours, as JSON to the frame around it. Contrast is that of
# WCAG 2, of each text against what lies behind it; translucent grounds are laid over one another.
LOOK = """<script>
const parse = c => { const x = c.match(/[\\d.]+/g).map(Number); return x.length < 4 ? [...x, 1] : x; };
const over = (a, b) => [0, 1, 2].map(i => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
const light = c => { const [r, g, b] = c.map(x => { x /= 255; return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4; });
                     return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const ground = e => { const all = [];
  for (; e; e = e.parentElement) all.unshift(parse(getComputedStyle(e).backgroundColor));
  return all.reduce((below, c) => over(c, below), [255, 255, 255, 1]); };
let least = 99, where = '', n = 0;
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
document.querySelectorAll('details').forEach(d => d.open = true);
for (let t; t = walk.nextNode();) {
  const e = t.parentElement;
  if (!t.data.trim() || e.tagName === 'SCRIPT' || e.tagName === 'title') continue;
  const behind = ground(e), style = getComputedStyle(e);
  const a = light(over(parse(e.namespaceURI.endsWith('svg') ? style.fill : style.color), behind)), b = light(behind);
  const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  ++n;
  if (contrast < least) { least = contrast; where = t.data; }
}
document.querySelectorAll('details').forEach(d => d.open = false);
parent.postMessage(JSON.stringify({least, where, n, inner: innerWidth, wide: document.documentElement.scrollWidth,
  mute: [...document.querySelectorAll('svg')].filter(s => !s.ariaHidden && !(s.getAttribute('aria-label') || '').trim()).length,
  levels: [...document.querySelectorAll('h1, h2, h3')].map(h => +h.tagName[1])}), '*');
</script></body>"""
# A browser's window has a least width, a frame has none.
FRAME = """<!DOCTYPE html><html><body><pre id="found"></pre><script>
addEventListener('message', e => document.getElementById('found').textContent = e.data);
</script><iframe src="looked_at.html" style="width:WIDTHpx;height:3000px;border:0"></iframe></body></html>"""
SCHEMES = {"light": [], "dark": ["--blink-settings=preferredColorScheme=0"]}


def looked_at(folder, text, width, scheme):
    """What LOOK found in the page."""
    (folder / "looked_at.html").write_text(text.replace("</body>", LOOK), encoding="utf-8")
    frame = folder / "frame.html"
    frame.write_text(FRAME.replace("WIDTH", str(width)), encoding="utf-8")
    dom, _ = browse(folder, *SCHEMES[scheme], "--window-size=1600,3200", "--virtual-time-budget=5000", "--dump-dom", frame.resolve().as_uri())
    return json.loads(html.unescape(re.search(r'<pre id="found">(.*?)</pre>', dom, re.DOTALL).group(1)))


def can_be_read(folder):
    succeed(2, "train", QUICKSTART, *SMALL, "--train.epochs=2", f"--run.output={folder}/run")
    text = (folder / "run/report.html").read_text(encoding="utf-8")
    for scheme, ground in [("light", (255, 255, 255)), ("dark", (15, 19, 24))]:
        shot = folder / f"{scheme}.png"
        browse(folder, *SCHEMES[scheme], "--window-size=1000,800", f"--screenshot={shot}", (folder / "run/report.html").resolve().as_uri())
        expect(picture(shot)[3] == ground, f"expected the {scheme} ground {ground}, got {picture(shot)[3]}")
        for width in [400, 1400]:
            found = looked_at(folder, text, width, scheme)
            expect(found["n"] > 100 and found["least"] >= 4.5, f"expected a contrast of 4.5 in the {scheme} scheme, got {found}")
            expect(found["inner"] == width and found["wide"] <= width, f"expected nothing wider than {width} pixels, got {found}")
            expect(found["mute"] == 0, f"expected words for each picture, got {found}")
            levels = found["levels"]
            expect(levels[0] == 1 and levels.count(1) == 1 and all(b - a <= 1 for a, b in zip(levels, levels[1:])), f"expected headings in order, got {levels}")
    # The test can fail.
    spoilt = text.replace("--soft:#57606a", "--soft:#b0b0b0").replace("<h1>", '<div style="width:1500px">wide</div><svg></svg><h1>')
    found = looked_at(folder, spoilt, 400, "light")
    expect(found["least"] < 4.5 and found["wide"] >= 1500 and found["mute"] == 1, f"expected faults to be seen, got {found}")
    # On paper: a few pages with the text in them, and their height is used.
    paper = folder / "report.pdf"
    browse(folder, f"--print-to-pdf={paper}", (folder / "run/report.html").resolve().as_uri())
    data = paper.read_bytes()
    n_pages = len(re.findall(rb"/Type\s*/Page\b", data))
    expect(data.startswith(b"%PDF") and 2 <= n_pages <= 12, f"expected a few pages, got {n_pages}")


def is_drawn(folder):
    succeed(2, "train", QUICKSTART, *SMALL, "--train.epochs=2", f"--run.output={folder}/run")
    page = (folder / "run/report.html").resolve().as_uri()
    for width in [400, 1400]:
        shot = pathlib.Path(folder / f"{width}.png")
        _, said = browse(folder, f"--window-size={width},3000", f"--screenshot={shot}", page)
        expect(not said, f"expected a silent console, got {said}")
        shown_width, height, n_rows, _ = picture(shot)
        expect(shown_width == width and height > 2000, f"expected {width} x 3000 pixels, got {shown_width} x {height}")
        expect(n_rows > 300, f"expected text and charts, got {n_rows} different rows of pixels")
    # What a browser makes of it holds text and figures still.
    text, said = browse(folder, "--dump-dom", page)
    expect(not said, f"expected a silent console, got {said}")
    for part in ["What was asked", "Genealogy of one sweep", "token by token", "log Z = "]:
        expect(part in text, f"expected {part} in what is shown")
    # The test can fail: a blank page and one that complains are told apart.
    (folder / "blank.html").write_text("<!DOCTYPE html><html><body></body><script>console.error('no')</script></html>")
    shot = folder / "blank.png"
    _, said = browse(folder, "--window-size=400,3000", f"--screenshot={shot}", (folder / "blank.html").resolve().as_uri())
    expect(said and picture(shot)[2] < 10, f"expected a blank page and its word, got {said} and {picture(shot)}")


if __name__ == "__main__":
    main(is_drawn, can_be_read)
