# SPDX-License-Identifier: Apache-2.0
"""docs/gallery.md shows what its commands print: each is run as it stands there, but for the folder, and gives that verdict.

With --real after the three arguments it is docs/gallery-smollm2.md, whose models are fetched first (10 to 20 minutes on two cores); its
verdicts are those of processors with AVX-512-BF16. With --pictures FOLDER, last, all pictures of the page, and the README's of the same
runs, are made anew with chromium.
"""
import pathlib
import re
import shutil
import subprocess
import sys

from run_twistor import ROOT, expect, main, succeed

REAL = "--real" in sys.argv[4:]
PAGE = (ROOT / "docs" / ("gallery-smollm2.md" if REAL else "gallery.md")).read_text(encoding="utf-8")
PICTURES = pathlib.Path(sys.argv[-1]).resolve() if sys.argv[-2] == "--pictures" else None
ENTRY = re.compile(r"^## (.*?)\n.*?^launch/mpirun.sh -n 2 -- twistor (\w+) configs/(\w+)\.cfg\n.*?^> verdict: (.*?)\n\n", re.MULTILINE | re.DOTALL)
LIMIT_S = 1800 if REAL else 200
WHOLE = {"quickstart": ("report.png", 1400), "task_positive_words": ("report_positive_words.png", 1040)}  # of the README, by configuration


def browse(folder, *words):
    browser = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])))
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={folder}/profile", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=True).stdout


def height_of(page, width, folder):
    """How high a page is on a screen of that width."""
    copy = folder / "measured.html"
    script = "<script>document.title = document.documentElement.scrollHeight</script></body>"
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", script), encoding="utf-8")
    dom = browse(folder, f"--window-size={width},1000", "--dump-dom", copy.resolve().as_uri())
    return int(re.search(r"<title>(\d+)</title>", dom).group(1))


def photograph(page, picture, folder, width=1000, height=1400):
    """The top of a page, as a screen shows it."""
    browse(folder, f"--window-size={width},{height}", f"--screenshot={picture}", page.resolve().as_uri())


def entries_are_what_is_printed(folder):
    entries = ENTRY.findall(PAGE)
    expect(len(entries) > 3 and len(entries) == PAGE.count("\n## "), f"expected each section to be an entry, got {entries}")
    for model in sorted(set(re.findall(r"^launch/get_model.sh (\w+)", PAGE, re.MULTILINE))):
        subprocess.run([str(ROOT / "launch/get_model.sh"), model], check=True, stdout=subprocess.DEVNULL)
    for title, command, name, verdict in entries:
        output = folder / name
        succeed(2, command, ROOT / f"configs/{name}.cfg", f"--run.output={output}", "--run.progress=false", limit_s=LIMIT_S)
        printed = [line for line in succeed(0, "info", output).out.splitlines() if line.startswith("verdict: ")]
        expect(printed == [f"verdict: {' '.join(verdict.replace('> ', '').split())}"], f"{title}: the page says {verdict!r}, twistor {printed}")
        expect(f"images/gallery_{name}.png" in PAGE and (ROOT / f"docs/images/gallery_{name}.png").exists() or PICTURES, f"expected a picture of {name}")
        if PICTURES:
            report = output / "report.html"
            photograph(report, PICTURES / f"gallery_{name}.png", folder)
            if name in WHOLE:
                picture, width = WHOLE[name]
                photograph(report, PICTURES / picture, folder, width, height_of(report, width, folder))


if __name__ == "__main__":
    main(entries_are_what_is_printed)
