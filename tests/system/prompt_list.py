# SPDX-License-Identifier: Apache-2.0
"""evaluate and sample over many prompts: rows in the order of the file, the same bytes on any number of ranks, under any grouping and after an
interruption; keyed by id; the means of the rows; bad lines are refused by file and line."""
import csv
import json
import math

from run_twistor import QUICKSTART, ROOT, SMALL, cut_short, estimates, expect, main, run, succeed

CONFIG = str(ROOT / "configs/prompts.cfg")
FEW = ["--evaluate.repeats=3", "--evaluate.samples=40", "--exact.count=8", "--exact.budget=4000", "--smc.particles=16", "--run.progress=false"]
FILES = ("prompts.jsonl", "prompts.csv")


def rows(folder):
    return [json.loads(line) for line in (folder / "prompts.jsonl").read_text().splitlines()]


def same(a, b):
    return all((a / name).read_bytes() == (b / name).read_bytes() for name in FILES)


def write(file, lines):
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return f"--prompt.file={file}"


def ranks_do_not_show(folder):
    for ranks, group in ((1, 1), (2, 1), (2, 0), (3, 1), (4, 2)):
        succeed(ranks, "evaluate", CONFIG, *FEW, f"--run.ranks_per_population={group}", f"--run.output={folder}/{ranks}.{group}")
        expect(same(folder / "1.1", folder / f"{ranks}.{group}"), f"expected equal files on {ranks} ranks in groups of {group}")
    expect(estimates(folder / "1.1") == estimates(folder / "3.1"), "expected equal means")
    found = rows(folder / "1.1")
    expect([row["id"] for row in found] == ["fox", "dog", "short", "tokens"], f"expected the order of the file, got {found}")
    expect([row["length"] for row in found] == [4, 4, 2, 4], "expected the lengths of the file")
    table = list(csv.DictReader((folder / "1.1/prompts.csv").open()))
    for row, line in zip(found, table):
        kl = row["base"]["kl"]["sigma_q"]
        expect((kl is None) == (line["base.kl.sigma_q.mean"] == ""), f"expected the same in both files, got {kl} and {line}")
        expect(kl is None or float(line["base.kl.sigma_q.mean"]) == kl["mean"], f"expected the same in both files, got {kl} and {line}")
    known = [row["base"]["kl"]["sigma_q"]["mean"] for row in found if row["base"]["kl"]["sigma_q"]]
    mean = json.loads((folder / "1.1/summary.json").read_text())["kl"]["sigma_q"]
    expect(mean["n"] == len(known) and math.isclose(mean["mean"], sum(known) / len(known), rel_tol=1e-12), f"expected the mean of {known}, got {mean}")
    expect("4 prompts" in succeed(0, "info", folder / "1.1/prompts.jsonl").out, "expected info to know the file")
    expect("means over the targets of 4 prompts" in (folder / "1.1/report.html").read_text(), "expected the page to say what is averaged")


def one_prompt_alone_is_the_same(folder):
    """An id keys the random numbers: the row does not depend on what else is in the file, but for its place."""
    lines = [json.loads(line) for line in (ROOT / "configs/prompts.jsonl").read_text().splitlines()]
    keys = [CONFIG, *FEW, "--evaluate.enumerate=never"]
    succeed(1, "evaluate", *keys, f"--run.output={folder}/all")
    succeed(1, "evaluate", *keys, write(folder / "one.jsonl", [lines[1]]), f"--run.output={folder}/one")
    a, b = rows(folder / "all")[1], rows(folder / "one")[0]
    expect(a.pop("index") == 1 and b.pop("index") == 0 and a == b, f"expected equal rows, got {a} and {b}")


def a_learned_twist(folder):
    """Learned on one prompt, measured on many; enumeration tells what is true."""
    short = [QUICKSTART, *SMALL, "--target.length=2"]
    succeed(1, "train", *short, "--train.updates=40", f"--run.output={folder}/run")
    keys = ["evaluate", *short, "--prompt.text=", f"--prompt.file={ROOT}/configs/prompts.jsonl", "--evaluate.enumerate_q=true",
            f"--evaluate.checkpoint={folder}/run/checkpoint.h5"]
    for ranks in (1, 2):
        succeed(ranks, *keys, "--run.ranks_per_population=1", f"--run.output={folder}/{ranks}", limit_s=120)
    expect(same(folder / "1", folder / "2"), "expected equal files on 1 and 2 ranks")
    found = rows(folder / "1")
    for row in found:
        expect(row["twist"]["kl"]["q_sigma"]["note"] == "exact", f"expected exact divergences, got {row['twist']['kl']}")
        z = row["twist"]["log_z"]
        expect(row["base"]["log_z"]["estimate"] == z["estimate"], "expected one log Z for both columns")
        # Three repeats: five of their standard errors, and a fifth of a nat where they are small by chance.
        lower = z["smc_lower"]
        expect(lower["mean"] < z["estimate"]["value"] + 5 * lower["se"] + 0.2, f"expected a lower bound, got {z}")


def interrupted(folder):
    lines = [{"id": f"p{i}", "prompt": "once upon a time there was a kind fox . one day the fox met a hen .", "length": 4} for i in range(60)]
    keys = ["evaluate", CONFIG, *FEW, "--smc.particles=64", "--evaluate.repeats=20", write(folder / "many.jsonl", lines)]
    succeed(2, *keys, f"--run.output={folder}/whole", limit_s=120)
    cut = folder / "cut"
    done = cut_short(2, lambda: (cut / "prompts.partial.h5").exists(), *keys, f"--run.output={cut}")
    expect(done.code == 75 and "of 60 prompts is kept" in done.err, f"expected an interruption, got {done}")
    expect(not (cut / "prompts.jsonl").exists(), "expected no results before the end")
    succeed(1, *keys, f"--run.output={cut}", limit_s=120)
    expect(same(folder / "whole", cut), "expected the files of an uninterrupted run")
    expect(not (cut / "prompts.partial.h5").exists(), "expected nothing unfinished")


def refusals(folder):
    def refused(words, *keys, lines=None, code=65, command="evaluate"):
        given = [] if lines is None else [f"--prompt.file={folder}/bad.jsonl"]
        if lines is not None:
            (folder / "bad.jsonl").write_text(lines)
        done = run(0, command, CONFIG, *FEW, f"--run.output={folder}/refused", *given, *keys)
        expect(done.code == code and all(word in done.err for word in words), f"{command} {keys} {lines}: expected {code} and {words}, got {done}")

    good = '{"prompt": "the fox"}\n'
    refused(["bad.jsonl, line 2", "no valid JSON"], lines=good + "{\n")
    refused(["line 2", "exactly one of prompt, messages and ids, got 0", "hint"], lines=good + "{}\n")
    refused(["line 1", "got 2"], lines='{"prompt": "a", "ids": [1]}\n')
    refused(["line 3", "'a'", "line 1"], lines='{"prompt": "the", "id": "a"}\n\n{"prompt": "fox", "id": "a"}\n')
    refused(["line 1", "'lenght'"], lines='{"prompt": "a", "lenght": 3}\n')
    refused(["line 1", "length", "[1,"], lines='{"prompt": "a", "length": 0}\n')
    refused(["line 1", "context of 64"], lines='{"prompt": "a", "length": 64}\n')
    refused(["line 1", "token id 48"], lines='{"ids": [48]}\n')
    refused(["line 1", "empty"], lines='{"prompt": ""}\n')
    refused(["there is no prompt"], lines="\n")
    refused(["prompt.file"], f"--prompt.file={folder}/none.jsonl", code=66)
    refused(["exactly one of", "prompt.text and prompt.file"], "--prompt.text=the", code=78)
    refused(["evaluate.log_z", "one prompt"], "--evaluate.log_z=-3", code=78)
    refused(["exact.path", "one prompt"], f"--exact.path={folder}/exact.h5", code=78)
    refused(["no checkpoint"], "--smc.proposal=twisted", code=66)
    refused(["sweep.*", "one prompt"], "--sweep.seeds=1 2", code=78)
    (folder / "never.jsonl").write_text('{"prompt": "the", "length": 1}\n')
    refused(["phi was 0 for every particle"], f"--prompt.file={folder}/never.jsonl", "--target.words=the the", command="sample")


def draws(folder):
    """Lines by prompt: the same bytes whoever drew them, those of a prompt alone, and of an uninterrupted run."""
    keys = ["sample", CONFIG, *FEW, "--sample.count=12", "--target.log_floor=-3"]
    for case, more in enumerate(([], ["--sample.from=population", "--sample.format=csv"], ["--sample.unique=true", "--sample.moves=1"])):
        seen = []
        for ranks, group in ((1, 1), (2, 1), (2, 0), (3, 1), (4, 2), (5, 1)):
            out = folder / f"{case}.{ranks}.{group}"
            done = succeed(ranks, *keys, *more, f"--run.ranks_per_population={group}", f"--run.output={out}")
            seen.append(((out / f"samples.{'csv' if case == 1 else 'jsonl'}").read_bytes(), done.out))
        expect(all(one == seen[0] for one in seen), f"expected equal files and summaries on any number of ranks with {more}")
    lines = [json.loads(line) for line in (folder / "0.1.1/samples.jsonl").read_text().splitlines()]
    expect([line["prompt_id"] for line in lines] == [name for name in ("fox", "dog", "short", "tokens") for _ in range(12)], "expected 12 lines for each")
    expect([len(line["ids"]) for line in lines[::12]] == [4, 4, 2, 4], "expected the lengths of the file")
    for i in range(4):
        expect(math.isclose(sum(line["weight"] for line in lines[12 * i:12 * i + 12]), 1), "expected weights that add up to 1 for each prompt")
    table = list(csv.DictReader((folder / "1.1.1/samples.csv").open()))
    expect(len(table) == 48 and table[0]["prompt_id"] == "fox" and table[-1]["prompt_index"] == "3", "expected the same in a table")
    second = json.loads((ROOT / "configs/prompts.jsonl").read_text().splitlines()[1])
    succeed(1, *keys, write(folder / "one.jsonl", [second]), f"--run.output={folder}/one")
    alone = [json.loads(line) for line in (folder / "one/samples.jsonl").read_text().splitlines()]
    expect([{**line, "prompt_index": 1} for line in alone] == lines[12:24], "expected the lines of a prompt not to depend on the others")
    expect("48 sampled sequences" in succeed(0, "info", folder / "0.1.1/samples.jsonl").out, "expected info to know the file")
    # Where no population meets the event there is no line, and a warning says so.
    done = succeed(1, *keys, "--target.log_floor=-inf", "--smc.particles=1", "--target.words=the", "--sample.count=6", f"--run.output={folder}/rare")
    expect("phi was 0 for every particle" in done.err and "prompts" in done.err, f"expected a warning, got {done}")


def draws_interrupted(folder):
    lines = [{"id": f"p{i}", "prompt": "once upon a time there was a kind fox . one day the fox met a hen .", "length": 4} for i in range(60)]
    keys = ["sample", CONFIG, *FEW, "--smc.particles=64", "--sample.count=200", "--target.log_floor=-3", write(folder / "many.jsonl", lines)]
    succeed(2, *keys, f"--run.output={folder}/whole", limit_s=120)
    cut = folder / "cut"
    done = cut_short(2, lambda: (cut / "samples.partial.h5").exists(), *keys, f"--run.output={cut}")
    expect(done.code == 75 and "of 60 prompts are kept" in done.err, f"expected an interruption, got {done}")
    succeed(1, *keys, f"--run.output={cut}", limit_s=120)
    expect((folder / "whole/samples.jsonl").read_bytes() == (cut / "samples.jsonl").read_bytes(), "expected the file of an uninterrupted run")
    expect(not (cut / "samples.partial.h5").exists(), "expected nothing unfinished")


main(ranks_do_not_show, one_prompt_alone_is_the_same, a_learned_twist, interrupted, refusals, draws, draws_interrupted)
