# SPDX-License-Identifier: Apache-2.0
"""report.html: made by train, renewed by sample and by report; whole, self-contained, and every number is the summary's."""
import json
import math
from html.parser import HTMLParser

from run_twistor import QUICKSTART, SMALL, expect, main, run, succeed

VOID = {"meta", "br"}
PROMPT = "once upon a time there was a kind fox . one day the fox met a hen ."


class Page(HTMLParser):
    """Whether tags match, and what is in them."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.problems, self.tags, self.values, self.texts, self.headings = [], [], set(), [], {}, []
        self.links = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        attributes = dict(attrs)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag == "data":
            self.values.append(float(attributes["value"]))
        if tag not in VOID:
            self.open.append((tag, attributes.get("id")))

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open[-1][0] != tag:
            self.problems.append(f"</{tag}> in {self.open[-3:]}")
        else:
            self.open.pop()

    def handle_data(self, text):
        for tag, name in self.open:
            if name:
                self.texts[name] = self.texts.get(name, "") + text
        if self.open and self.open[-1][0] == "h2":
            self.headings.append(text)


def leaves(value, way=""):
    """Every value by the way to it, as the page lists them."""
    if (isinstance(value, dict) or (isinstance(value, list) and value and way != "prompt.ids")):
        items = value.items() if isinstance(value, dict) else ((str(i), x) for i, x in enumerate(value))
        return [leaf for name, x in items for leaf in leaves(x, f"{way}.{name}" if way else name)]
    return [(way, value)]


def look_at(folder, *headings):
    """The page of a run: whole, alone, and with the numbers of its summary."""
    text = (folder / "report.html").read_text(encoding="utf-8")
    summary = json.loads((folder / "summary.json").read_text())
    page = Page(text)
    expect(not page.problems and not page.open, f"expected tags that match, got {page.problems} and {page.open}")
    expect(not page.tags & {"script", "link", "img", "iframe"} and not page.links and "@import" not in text and "url(" not in text,
           f"expected nothing from outside, got {page.tags} {page.links}")
    expect(len(text) < 2e6, f"expected less than 2 MB, got {len(text)}")
    for heading in ["What was asked", "Evaluations", "All numbers", *headings]:
        expect(heading in page.headings, f"expected the section {heading}, got {page.headings}")
    listed = dict(line.split(" = ", 1) for line in page.texts["values"].splitlines())
    expected = leaves(summary)
    expect(len(listed) == len(expected) > 100, f"expected {len(expected)} values, got {len(listed)}")
    for way, value in expected:
        expect(way in listed and json.loads(listed[way]) == value, f"expected {way} = {value}, got {listed.get(way)}")
    samples = folder / "samples.jsonl"
    lines = [json.loads(line) for line in samples.read_text().splitlines()] if samples.exists() else []
    known = {float(x) for _, x in expected + [leaf for line in lines for leaf in leaves(line)]
             if isinstance(x, (int, float)) and not isinstance(x, bool)}
    strangers = [x for x in page.values if x not in known]
    expect(len(page.values) > 20 and not strangers, f"expected values of the files, got {strangers} among {len(page.values)}")
    return text, page


def follows_a_run(folder):
    """train makes it, sample adds the texts, report makes the same again."""
    run_folder = folder / "run"
    keys = [*SMALL, "--train.epochs=2", f"--run.output={run_folder}", f"--prompt.text={PROMPT}"]
    succeed(2, "train", QUICKSTART, *keys)
    text, page = look_at(run_folder, "Learning", "Populations", "Cost")
    expect("Texts" not in page.headings, "expected no texts before any were drawn")
    expect("log Z = " in text and "exactly" in text, "expected the verdict with the exact log Z")
    for figure in ["Bounds of log Z", "Divergences between sampler and target", "Loss", "Effective sample size, by step of the sweep"]:
        expect(f"<figcaption>{figure}</figcaption>" in text, f"expected the figure {figure}")
    succeed(1, "sample", QUICKSTART, *keys, "--sample.count=5")
    drawn, _ = look_at(run_folder, "Texts")
    for line in (run_folder / "samples.jsonl").read_text().splitlines():
        expect(json.loads(line)["text"].strip() in drawn, f"expected the text of {line}")
    (run_folder / "report.html").unlink()
    done = succeed(0, "report", run_folder)
    expect(done.out.strip() == str(run_folder / "report.html"), f"expected the file's name, got {done}")
    expect((run_folder / "report.html").read_text(encoding="utf-8") == drawn, "expected the same page again")


def shows_what_is_unknown_as_such(folder):
    """Null is a dash, an infinity a sign, a text of anybody's is escaped."""
    run_folder = folder / "other"
    succeed(1, "train", QUICKSTART, *SMALL, f"--run.output={run_folder}", "--train.updates=0", "--exact.source=none",
            "--train.positives=weighted", "--evaluate.enumeration_limit=1")
    text, _ = look_at(run_folder)
    expect("no exact samples" in text and "exactly" not in text, "expected words for what is missing")
    summary = json.loads((run_folder / "summary.json").read_text())
    expect(summary["log_z"]["smc_upper"] is None, "expected no upper bound")
    summary["config"]["prompt"]["text"] = "<b>&amp; \"it\" </b>"
    summary["log_z"]["smc_upper"] = {"mean": "inf", "se": None, "n": 3}
    (run_folder / "summary.json").write_text(json.dumps(summary))
    succeed(0, "report", run_folder)
    text, page = look_at(run_folder)
    expect("<b>" not in text and "&lt;b&gt;&amp;amp; &quot;it&quot; &lt;/b&gt;" in text, "expected an escaped prompt")
    expect("∞" in text, "expected a sign for infinity")
    expect(not any(math.isinf(x) for x in page.values), "expected no number for it")


def fails_no_run(folder):
    """Where the page cannot be written the run is whole all the same."""
    (folder / "run/report.html").mkdir(parents=True)
    done = succeed(1, "train", QUICKSTART, *SMALL, f"--run.output={folder}/run")
    expect("report.html was not made" in done.err, f"expected a warning, got {done}")
    expect((folder / "run/summary.json").exists() and "log Z" in done.out, f"expected all the rest, got {done}")


def refuses_what_is_no_run(folder):
    done = run(0, "report", folder)
    expect(done.code == 66 and "summary.json" in done.err, f"expected 66 without a summary, got {done}")
    for text in ["{", "[]", "{\"log_z\": 3}"]:
        (folder / "summary.json").write_text(text)
        done = run(0, "report", folder)
        expect(done.code == 65 and "summary.json" in done.err, f"expected 65 for {text}, got {done}")
    expect(not (folder / "report.html").exists(), "expected no page")
    expect(run(0, "report").code == 64, "expected 64 without a folder")


if __name__ == "__main__":
    main(follows_a_run, shows_what_is_unknown_as_such, fails_no_run, refuses_what_is_no_run)
