# SPDX-License-Identifier: Apache-2.0
"""report.html: made by train, renewed by sample and by report; whole, self-contained, and every number is the summary's."""
import csv
import html
import json
import math
import re
import struct
from html.parser import HTMLParser

from run_twistor import QUICKSTART, ROOT, SMALL, expect, main, run, succeed

VOID = {"meta", "br"}
PROMPT = "once upon a time there was a kind fox . one day the fox met a hen ."


class Page(HTMLParser):
    """Whether tags match, and what is in them."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.problems, self.tags, self.values, self.texts, self.headings = [], [], set(), [], {}, []
        self.links, self.rows, self.row, self.cell = [], [], None, None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        attributes = dict(attrs)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag == "data":
            self.values.append((attributes["data-from"], float(attributes["value"])))
            if self.cell is not None:
                self.cell.append(attributes["data-from"])
        if tag == "tr":
            self.row = []
        if tag in ("td", "th"):
            self.cell = [""]
        if tag not in VOID:
            self.open.append((tag, attributes.get("id")))

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open[-1][0] != tag:
            self.problems.append(f"</{tag}> in {self.open[-3:]}")
        else:
            self.open.pop()
        if tag in ("td", "th") and self.row is not None:
            self.row.append(self.cell)
            self.cell = None
        if tag == "tr":
            self.rows.append(self.row)

    def handle_data(self, text):
        for tag, name in self.open:
            if name:
                self.texts[name] = self.texts.get(name, "") + text
        if self.cell is not None:
            self.cell[0] += text
        if self.open and self.open[-1][0] == "h2":
            self.headings.append(text)


def leaves(value, way=""):
    """Every value by the way to it, as the page lists them."""
    if (isinstance(value, dict) or (isinstance(value, list) and value and way != "prompt.ids")):
        items = value.items() if isinstance(value, dict) else ((str(i), x) for i, x in enumerate(value))
        return [leaf for name, x in items for leaf in leaves(x, f"{way}.{name}" if way else name)]
    return [(way, value)]


def arrays(file):
    """Numbers of the datasets of results.h5 by their names, where the file's map (docs/file-formats.md) says that they lie."""
    data = file.read_bytes()
    begin, size = struct.unpack("<QQ", data[16:32])
    found = {}
    for line in data[begin:begin + size].decode().splitlines():
        offset, length, _, name = line.split(" ", 3)
        if name.startswith("arrays/") and not name.endswith(("log_z_method", "pieces")):
            form = "q" if name.endswith(("tokens", "ancestors", "resampled_at")) else "d"
            raw = data[int(offset, 16):int(offset, 16) + int(length, 16)]
            found[name.removeprefix("arrays/")] = list(struct.unpack(f"<{len(raw) // 8}{form}", raw))
        elif name.endswith("pieces"):
            found[name.removeprefix("arrays/")] = json.loads(data[int(offset, 16):int(offset, 16) + int(length, 16)].rstrip(b"\0").decode())
    return found


ROWS = {"log Z": "log_z.estimate.", "SMC lower bound of log Z": "log_z.smc_lower.", "SMC upper bound of log Z": "log_z.smc_upper.",
        "importance sampling, lower bound": "log_z.sis_lower.", "importance sampling, upper bound": "log_z.sis_upper.",
        "KL(q ‖ σ), nats": "kl.q_sigma.", "KL(σ ‖ q), nats": "kl.sigma_q.", "E log φ under q": "proposal.log_phi.",
        "KL(q ‖ p0), nats": "proposal.kl_q_p0.", "effective sample size at the end": "ess.final"}


def expect_evaluations_in_place(page, summary):
    """Each cell of the table of evaluations has numbers of its row's estimate and its column's evaluation."""
    head = page.rows[next(i for i, row in enumerate(page.rows) if row and row[0][0] == "log Z") - 1]
    places = {"base model": "base.", "base model, before learning": "base.", "before learning": "before.", summary.get("twist"): ""}
    columns = [places[cell[0]] for cell in head[1:]]
    seen = {row[0][0]: row[1:] for row in page.rows if row and row[0][0] in ROWS and len(row) == len(head)}
    expect(set(seen) == set(ROWS), f"expected the rows {set(ROWS)}, got {set(seen)}")
    for title, cells in seen.items():
        for column, (text, *ways) in zip(columns, cells):
            expect(all(way.startswith(column + ROWS[title]) for way in ways), f"expected {column}{ROWS[title]} under {title}, got {ways}")
            expect(ways or "–" in text or "∞" in text, f"expected a number under {title}, or a sign that there is none, got {text}")


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
    stored = arrays(folder / "results.h5")
    for way, shown in page.values:
        if way.startswith("results.h5:"):
            name, i = re.fullmatch(r"results\.h5:(.*)\[(\d+)\]", way).groups()
            value = stored[name.removeprefix("arrays/")][int(i)]
        elif ".jsonl:" in way:
            name, line, member = re.fullmatch(r"(\w+\.jsonl):(\d+)\.(.*)", way).groups()
            value = json.loads((folder / name).read_text().splitlines()[int(line) - 1])
            for key in member.split("."):
                value = value[key]
        else:
            value = json.loads(listed[way])
        expect(float(value) == shown, f"expected {way} = {value}, got {shown}")
    expect(len(page.values) > 15, f"expected numbers, got {page.values}")
    expect_evaluations_in_place(page, summary)
    for block in re.findall(r"<summary>Numbers</summary>\n<pre>(.*?)</pre>", text, re.DOTALL):
        rows = list(csv.reader(html.unescape(block).splitlines()))
        wrong = [row for row in rows[1:] if len(row) != len(rows[0]) or not all(math.isfinite(float(x)) for x in row[1:] if x)]
        expect(len(rows) > 1 and not wrong, f"expected columns {rows[0]} of numbers or nothing, got {wrong}")
        expect("&amp;" not in "".join(row[0] for row in rows), f"expected names as they are, got {rows[0]}")
    return text, page


def log_sum(values):
    top = max(values)
    return top if math.isinf(top) else top + math.log(sum(math.exp(x - top) for x in values))


def shows_one_sweep(text, stored):
    """The tokens of the heaviest particle with their numbers, the lines of all of them, and psi's bins, worked out from results.h5."""
    K, T = len(stored["after/sweep/log_phi"]), 4
    expect(K == 16 and len(stored["after/sweep/tokens"]) == K * T, f"expected a sweep of 16 particles, got {K}")
    weights = stored["after/sweep/log_weight"]
    expect(abs(log_sum(weights)) < 1e-9, f"expected shares that add up to 1, got {weights}")
    best = weights.index(max(weights))
    pieces = stored["after/sweep/pieces"][best * T:best * T + T]
    place = text.index(f"particle {best}, log of its share")
    for t, piece in enumerate(pieces):
        numbers = [stored[f"after/sweep/{name}"][best * T + t] for name in ("log_increment", "log_psi")]
        cell = text[text.index("<span><i>", place):][:400].split("</span>\n")[0]
        expect(f"<i>{piece}</i>" in cell, f"expected {piece!r} in {cell}")
        expect([float(x.split('"')[0]) for x in cell.split(' value="')[1:]] == numbers, f"expected {numbers} in {cell}")
        place = text.index("<span><i>", place) + 1
    # What a weight gains after the last resampling makes its share: phi / psi_T alone where that was before the last draw.
    ancestors, at = stored["after/sweep/ancestors"], stored["after/sweep/resampled_at"]
    expect(len(ancestors) == K * len(at) and at == sorted(at) and all(0 <= x < K for x in ancestors), f"expected ids, got {ancestors}")
    if at[-1] == T - 1:
        since = [phi - psi for phi, psi in zip(stored["after/sweep/log_phi"], stored["after/sweep/log_psi"][T - 1::T])]
    else:
        since = [sum(stored["after/sweep/log_increment"][i * T + at[-1] + 1:i * T + T]) for i in range(K)]
    shares = [x - log_sum(since) for x in since]
    expect(all(abs(x - y) < 1e-6 for x, y in zip(shares, weights)), f"expected {shares}, got {weights}")
    founders = set()
    for line in range(K):
        for g in reversed(range(len(at))):
            line = ancestors[g * K + line]
        founders.add(line)
    expect(f"{len(founders)} of the {K} founders" in text.replace("\n", " "), f"expected {len(founders)} founders")
    expect(text.count('class="leaf"') == K, "expected a disc for each particle")
    # The bins of psi's calibration.
    psi, future = stored["after/q/log_psi"], stored["after/q/log_future"]
    expect(len(psi) == len(future) == 4 * 40, f"expected four steps of 40 samples, got {len(psi)}")
    expect(future[3::4] == stored["after/q/log_phi"], "expected that nothing follows the last step but phi")
    pairs = sorted((psi[i], i) for i in range(0, len(psi), 4))
    shift = log_sum(future[0::4]) - log_sum(psi[0::4])
    n = len(pairs) // 10
    mean = log_sum([x for x, _ in pairs[:n]]) + shift - math.log(n)
    expect(f"<th scope=\"row\">1</th><td>{n}</td><td>{mean:.4f}</td>" in text, f"expected a first bin of {n} at {mean:.4f}")


def follows_a_run(folder):
    """train makes it, sample adds the texts, report makes the same again."""
    run_folder = folder / "run"
    keys = [*SMALL, "--train.epochs=2", f"--run.output={run_folder}", f"--prompt.text={PROMPT}"]
    succeed(2, "train", QUICKSTART, *keys)
    text, page = look_at(run_folder, "Learning", "Populations", "Cost", "Potential and twist", "One sweep")
    shows_one_sweep(text, arrays(run_folder / "results.h5"))
    expect("<dt>potential</dt><dd>contains: 1 if one of 1 token patterns occurs" in text, "expected the potential in words")
    expect("Texts" not in page.headings, "expected no texts before any were drawn")
    expect("log Z = " in text and "exactly" in text, "expected the verdict with the exact log Z")
    for figure in ["Bounds of log Z", "Divergences between q and the target", "Loss", "Effective sample size, by step of the sweep", "Distribution of log φ",
                   "Calibration of ψ", "Genealogy of one sweep"]:
        expect(f"<figcaption>{figure}</figcaption>" in text, f"expected the figure {figure}")
    succeed(1, "train", QUICKSTART, *keys, f"--run.output={folder}/alone")
    expect(arrays(folder / "alone/results.h5") == arrays(run_folder / "results.h5"), "expected the same arrays on one rank")
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
    expect(not any(math.isinf(x) for _, x in page.values), "expected no number for it")


def shows_prompts_and_sweeps(folder):
    """The prompts of a file, the farthest first; K and seeds of a sweep; both in a comparison, where means over prompts stay what they are."""
    prompts, sweep = folder / "prompts", folder / "sweep"
    succeed(2, "evaluate", ROOT / "configs/prompts.cfg", f"--run.output={prompts}", "--target.log_floor=-6")
    text, page = look_at(prompts, "Prompts")
    lines = [json.loads(line) for line in (prompts / "prompts.jsonl").read_text().splitlines()]
    far = sorted(range(len(lines)), key=lambda i: -lines[i]["base"]["kl"]["q_sigma"]["mean"])
    shown = [row[0][0] for row in page.rows if len(row) == 8 or len(row) == 9][1:]
    expect(len(far) == len(shown) == 4 and all(name.startswith(lines[i]["id"]) for name, i in zip(shown, far)), f"expected {far}, got {shown}")
    ways = {way for way, _ in page.values}
    expect({f"prompts.jsonl:{i + 1}.base.kl.sigma_q.mean" for i in far} <= ways, f"expected the divergences of each prompt, got {ways}")
    expect("<figcaption>KL(q ‖ σ) over prompts</figcaption>" in text, "expected how they are spread")
    succeed(2, "evaluate", QUICKSTART, *SMALL, "--smc.proposal=base", "--sweep.particles=8 32", "--sweep.seeds=1 2", f"--run.output={sweep}")
    text, page = look_at(sweep, "Several K and seeds")
    expect("sweep.means.1.base.gap.mean" in {way for way, _ in page.values} and "Gap of the SMC bounds, by K" in text, "expected the gap by K")
    rows = json.loads(succeed(0, "report", prompts, sweep, "--format", "json").out)
    mean = json.loads((prompts / "summary.json").read_text())["kl"]["q_sigma"]
    expect(rows[0]["kl_q_sigma"]["mean"] == mean["mean"], f"expected the mean over prompts {mean}, got {rows[0]}")
    succeed(0, "report", prompts, sweep, "--format", "html", "--output", folder / "both.html")
    expect("Several K" in Page((folder / "both.html").read_text()).headings, "expected the sweep in the comparison")


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
    main(follows_a_run, shows_what_is_unknown_as_such, shows_prompts_and_sweeps, fails_no_run, refuses_what_is_no_run)
