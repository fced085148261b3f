# SPDX-License-Identifier: Apache-2.0
"""report.html in a real browser, headless: drawn on a narrow and on a wide screen, with its text and without a word on the console.

Exits 77, which is a skipped test, where no browser is installed.
"""
import pathlib
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
    return width, height, len({rows[i:i + stride] for i in range(0, len(rows), stride)})


def is_drawn(folder):
    succeed(2, "train", QUICKSTART, *SMALL, "--train.epochs=2", f"--run.output={folder}/run")
    page = (folder / "run/report.html").resolve().as_uri()
    for width in [400, 1400]:
        shot = pathlib.Path(folder / f"{width}.png")
        _, said = browse(folder, f"--window-size={width},3000", f"--screenshot={shot}", page)
        expect(not said, f"expected a silent console, got {said}")
        shown_width, height, n_rows = picture(shot)
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
    main(is_drawn)
