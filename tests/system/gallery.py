# SPDX-License-Identifier: Apache-2.0
"""docs/gallery.md shows what its commands print: each is run as it stands there, but for the folder, and gives that verdict.

With --pictures FOLDER after the three arguments, the pictures of the page are made anew from the runs' pages, with chromium.
"""
import pathlib
import re
import shutil
import subprocess
import sys

from run_twistor import ROOT, expect, main, succeed

PAGE = (ROOT / "docs/gallery.md").read_text(encoding="utf-8")
PICTURES = pathlib.Path(sys.argv[5]).resolve() if sys.argv[4:5] == ["--pictures"] else None
ENTRY = re.compile(r"^## (.*?)\n.*?^launch/mpirun.sh -n 2 -- twistor (\w+) configs/(\w+)\.cfg\n.*?^> verdict: (.*?)\n\n", re.MULTILINE | re.DOTALL)


def photograph(page, picture, folder):
    """The top of a page, as wide as a screen of 1,000 pixels shows it."""
    browser = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])))
    subprocess.run([browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={folder}/profile",
                    "--window-size=1000,1400", f"--screenshot={picture}", page.resolve().as_uri()], capture_output=True, timeout=100, check=True)


def entries_are_what_is_printed(folder):
    entries = ENTRY.findall(PAGE)
    expect(len(entries) > 3 and len(entries) == PAGE.count("\n## "), f"expected each section to be an entry, got {entries}")
    for title, command, name, verdict in entries:
        output = folder / name
        succeed(2, command, ROOT / f"configs/{name}.cfg", f"--run.output={output}", "--run.progress=false", limit_s=200)
        printed = [line for line in succeed(0, "info", output).out.splitlines() if line.startswith("verdict: ")]
        expect(printed == [f"verdict: {' '.join(verdict.replace('> ', '').split())}"], f"{title}: the page says {verdict!r}, twistor {printed}")
        expect(f"images/gallery_{name}.png" in PAGE and (ROOT / f"docs/images/gallery_{name}.png").exists() or PICTURES, f"expected a picture of {name}")
        if PICTURES:
            photograph(output / "report.html", PICTURES / f"gallery_{name}.png", folder)


if __name__ == "__main__":
    main(entries_are_what_is_printed)
