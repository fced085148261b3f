# SPDX-License-Identifier: Apache-2.0
"""evaluate at several K and seeds, and with several checkpoints: the same bytes on any number of ranks and after an interruption, rows
that equal single evaluations, means with Student's t, one log Z for all columns."""
import csv
import json
import math
import shutil

from run_twistor import QUICKSTART, ROOT, SMALL, cut_short, difference, estimates, expect, main, run, succeed

SHORT = [QUICKSTART, *SMALL, "--target.length=2", "--evaluate.enumerate_q=true"]
SWEEP = ["--sweep.particles=4 16", "--sweep.seeds=1..3", "--evaluate.repeats=4"]
FILES = ("sweep.jsonl", "sweep.csv")


def rows(folder):
    return [json.loads(line, parse_float=str) for line in (folder / "sweep.jsonl").read_text().splitlines()]


def same(a, b):
    return all((a / name).read_bytes() == (b / name).read_bytes() for name in FILES)


def learned(folder, name="run", *keys):
    succeed(1, "train", *SHORT, "--train.updates=30", *keys, f"--run.output={folder}/{name}")
    return f"{folder}/{name}/checkpoint.h5"


def ranks_do_not_show(folder):
    keys = ["evaluate", *SHORT, *SWEEP, f"--evaluate.checkpoint={learned(folder)}"]
    for ranks, group in ((1, 1), (2, 1), (2, 0), (3, 1), (4, 2), (5, 1)):
        out = folder / f"{ranks}.{group}"
        done = succeed(ranks, *keys, f"--run.ranks_per_population={group}", f"--run.output={out}")
        expect(same(folder / "1.1", out), f"expected equal files on {ranks} ranks in groups of {group}")
        expect("means over 3 seeds" in done.out and "the gap goes as K^b" in done.out, f"expected a table, got {done.out}")
    expect(estimates(folder / "1.1") == estimates(folder / "3.1"), "expected equal means")
    found = rows(folder / "1.1")
    expect([(row["particles"], row["seed"]) for row in found] == [(K, s) for K in (4, 16) for s in (1, 2, 3)], "expected rows by K and seed")
    lower = [float(row["twist"]["log_z"]["smc_lower"]["mean"]) for row in found[3:]]
    mean = sum(lower) / 3
    se = math.sqrt(sum((x - mean) ** 2 for x in lower) / 6)
    summary = json.loads((folder / "1.1/summary.json").read_text())
    told = summary["sweep"]["means"][1]["twist"]["smc_lower"]
    expect(math.isclose(told["mean"], mean, rel_tol=1e-12) and math.isclose(told["high"] - mean, 4.302652729911275 * se, rel_tol=1e-6),
           f"expected the mean {mean} of {lower} with Student's t at two degrees of freedom, got {told}")
    expect(summary["log_z"]["smc_lower"]["mean"] == told["mean"] and summary["seeds"] == 3, "expected the means at the last K as the result")
    table = list(csv.DictReader((folder / "1.1/sweep.csv").open()))
    expect([float(line["twist.log_z.smc_lower.mean"]) for line in table[3:]] == lower, "expected the same in both files")
    expect("at 6 pairs of K and seed" in succeed(0, "info", folder / "1.1/sweep.jsonl").out, "expected info to know the file")
    page = (folder / "1.1/report.html").read_text()
    expect("means over 3 seeds" in page and "Several K and seeds" in page, "expected the page to say what is averaged, and a table")
    expect(f'value="{told["mean"]}"' in page, "expected its numbers in full")


def a_row_is_an_evaluation(folder):
    """With one seed each row has what `evaluate` finds at that K."""
    keys = ["evaluate", *SHORT, f"--evaluate.checkpoint={learned(folder)}"]
    succeed(2, *keys, "--sweep.particles=8 24", f"--run.output={folder}/sweep")
    said = succeed(0, "info", folder / "sweep/summary.json").out
    expect(" of 24\n" in said, f"expected the last K in the place of smc.particles, got {said}")
    for row, K in zip(rows(folder / "sweep"), (8, 24)):
        succeed(1, *keys, f"--smc.particles={K}", f"--run.output={folder}/{K}")
        one = json.loads((folder / str(K) / "summary.json").read_text(), parse_float=str)
        for name, whole in (("twist", one), ("base", one["base"])):
            wrong = difference(row[name], {key: whole[key] for key in row[name]})
            expect(row[name]["kl"] and not wrong, f"K = {K}, {name}: expected what a single evaluation finds, got {wrong}")


def interrupted(folder):
    keys = ["evaluate", *SHORT, f"--evaluate.checkpoint={learned(folder)}", "--sweep.particles=16 32 64", "--sweep.seeds=1..8",
            "--evaluate.repeats=60", "--evaluate.enumerate_q=false"]
    succeed(2, *keys, f"--run.output={folder}/whole", limit_s=120)
    cut = folder / "cut"
    done = cut_short(2, lambda: (cut / "sweep.partial.h5").exists(), *keys, f"--run.output={cut}")
    expect(done.code == 75 and "of 48 evaluations are kept" in done.err, f"expected an interruption, got {done}")
    expect(not (cut / "sweep.jsonl").exists(), "expected no results before the end")
    succeed(1, *keys, f"--run.output={cut}", limit_s=120)
    expect(same(folder / "whole", cut), "expected the files of an uninterrupted run")
    expect(not (cut / "sweep.partial.h5").exists(), "expected nothing unfinished")


def several_checkpoints(folder):
    easy = "--target.log_floor=-3"
    first, second = learned(folder, "a", easy), learned(folder, "b", easy, "--train.updates=2")
    (folder / "copy").mkdir()
    shutil.copy(first, folder / "copy/checkpoint.h5")
    given = f"--evaluate.checkpoints={first} {second},{folder}/copy/checkpoint.h5"
    keys = ["evaluate", *SHORT, "--evaluate.enumerate_q=false", "--evaluate.enumerate=never", "--exact.source=rejection", easy]
    for ranks in (1, 2):
        done = succeed(ranks, *keys, given, f"--run.output={folder}/{ranks}")
        expect(all(name in done.out for name in ("a/checkpoint", "b/checkpoint", "copy/checkpoint")), f"expected a column each, got {done.out}")
    expect(estimates(folder / "1") == estimates(folder / "2"), "expected equal numbers on 1 and 2 ranks")
    summary = json.loads((folder / "1/summary.json").read_text())
    others = summary["checkpoints"]
    expect(summary["checkpoint"] == "a/checkpoint" and list(others) == ["b/checkpoint", "copy/checkpoint"], "expected names by order")
    for name in ("log_z", "kl", "proposal", "ess"):
        expect(others["copy/checkpoint"][name] == summary[name], f"expected the same numbers of the same twist, section {name}")
    expect(others["b/checkpoint"]["proposal"] != summary["proposal"], "expected other numbers of another twist")
    z = summary["log_z"]["estimate"]
    expect(all(e["log_z"]["estimate"] == z for e in [*others.values(), summary["base"]]), "expected one log Z for all")
    succeed(1, *keys, f"--evaluate.checkpoint={second}", f"--run.output={folder}/alone")
    alone = json.loads((folder / "alone/summary.json").read_text())
    expect(alone["proposal"] == others["b/checkpoint"]["proposal"], "expected the numbers of an evaluation alone")
    succeed(2, *keys, given, "--sweep.particles=4 8", f"--run.output={folder}/sweep")
    expect(list(rows(folder / "sweep")[0])[2:] == ["base", "a/checkpoint", "b/checkpoint", "copy/checkpoint"], "expected all samplers in a row")
    succeed(2, *keys, given, "--prompt.text=", f"--prompt.file={ROOT}/configs/prompts.jsonl", "--run.ranks_per_population=1",
            f"--run.output={folder}/prompts", limit_s=120)
    row = json.loads((folder / "prompts/prompts.jsonl").read_text().splitlines()[0])
    expect(row["a/checkpoint"] == row["copy/checkpoint"] != row["b/checkpoint"], "expected all samplers for each prompt")
    expect(json.loads((folder / "prompts/summary.json").read_text())["checkpoints"]["b/checkpoint"]["kl"], "expected their means over prompts")


def refusals(folder):
    def refused(words, *keys, code=78, command="evaluate"):
        done = run(0, command, *SHORT, f"--run.output={folder}/refused", *keys)
        expect(done.code == code and all(word in done.err for word in words), f"{command} {keys}: expected {code} and {words}, got {done}")

    refused(["sweep.particles has 4 twice"], "--sweep.particles=4 4")
    refused(["sweep.particles", "at least 1", "got 0"], "--sweep.particles=0")
    refused(["sweep.seeds", "'1..x'"], "--sweep.seeds=1..x")
    refused(["both given"], "--evaluate.checkpoint=a.h5", "--evaluate.checkpoints=b.h5 c.h5")
    refused(["no checkpoint"], "--sweep.seeds=1 2", code=66)
    refused(["evaluate.checkpoints names several"], "--evaluate.checkpoints=a.h5 b.h5", command="sample")
    checkpoint = learned(folder)
    refused(["none.h5"], f"--evaluate.checkpoints={checkpoint} {folder}/none.h5", code=66)


def without_a_twist(folder):
    """q = p0 needs no checkpoint: the base model alone."""
    succeed(2, "evaluate", *SHORT, "--smc.proposal=base", "--sweep.particles=4 16", f"--run.output={folder}/sweep")
    expect(list(rows(folder / "sweep")[0]) == ["particles", "seed", "base"], "expected the base model alone")
    succeed(1, "evaluate", *SHORT, "--smc.proposal=base", "--smc.particles=16", f"--run.output={folder}/one")
    one = json.loads((folder / "one/summary.json").read_text(), parse_float=str)
    wrong = difference(rows(folder / "sweep")[1]["base"], {key: one[key] for key in rows(folder / "sweep")[1]["base"]})
    expect(not wrong and "base" not in one, f"expected the same of one evaluation, got {wrong}")


main(ranks_do_not_show, a_row_is_an_evaluation, interrupted, several_checkpoints, refusals, without_a_twist)
