# SPDX-License-Identifier: Apache-2.0
"""train over many prompts: the same bits on any number of ranks and after a stop, all prompts in turn, an evaluation of each at the end."""
import json

from run_twistor import ROOT, cut_short, expect, expect_same, main, metrics, n_updates, parameters, run, succeed

CONFIG = str(ROOT / "configs/prompts.cfg")
KEYS = [CONFIG, "--smc.proposal=twisted", "--target.log_floor=-4", "--train.updates=8", "--train.batch=24", "--train.checkpoint_every=1",
        "--twist.form=mlp", "--smc.particles=16", "--evaluate.repeats=3", "--evaluate.samples=40", "--exact.count=8", "--exact.budget=4000",
        "--run.progress=false"]


def rows_of(folder):
    return (folder / "prompts.jsonl").read_text()


def ranks_do_not_show(folder):
    for ranks, group in ((1, 1), (2, 1), (3, 0), (2, 0)):
        succeed(ranks, "train", *KEYS, f"--run.ranks_per_population={group}", f"--run.output={folder}/{ranks}.{group}", limit_s=120)
    first = folder / "1.1"
    for other in ("2.1", "3.0", "2.0"):
        expect(parameters(first) == parameters(folder / other), f"expected the same twist from {other}")
        expect((first / "prompts.jsonl").read_bytes() == (folder / other / "prompts.jsonl").read_bytes(), f"expected the same rows from {other}")
        expect(metrics(first) == metrics(folder / other), f"expected the same updates from {other}")
    taken = [line["prompt"] for line in metrics(first) if "loss" in line]
    expect(len(taken) == 8 and sorted(taken[:4]) == sorted(taken[4:]) == sorted(set(taken)), f"expected each prompt once a round, got {taken}")
    # The checkpoint is one like others: evaluate and sample take it, for the list or for one prompt.
    succeed(2, "evaluate", *KEYS, f"--evaluate.checkpoint={first}/checkpoint.h5", f"--run.output={folder}/again", limit_s=120)
    expect((first / "prompts.jsonl").read_bytes() == (folder / "again/prompts.jsonl").read_bytes(), "expected what train found at its end")
    succeed(1, "sample", *KEYS, f"--evaluate.checkpoint={first}/checkpoint.h5", f"--run.output={folder}/again", "--sample.count=3")
    succeed(1, "evaluate", *KEYS, "--prompt.file=", "--prompt.text=the fox", f"--evaluate.checkpoint={first}/checkpoint.h5",
            f"--run.output={folder}/one")


def it_learns(folder):
    succeed(2, "train", *KEYS, "--target.words=fox", "--train.updates=300", "--train.batch=64", "--evaluate.samples=200", "--run.ranks_per_population=1",
            f"--run.output={folder}/run", limit_s=240)
    summary = json.loads((folder / "run/summary.json").read_text())
    learned, base = summary["kl"]["q_sigma"]["mean"], summary["base"]["kl"]["q_sigma"]["mean"]
    print(f"KL(q || sigma) over prompts: {base:.3f} without a twist, {learned:.3f} with one for all of them")
    expect(learned < 0.2 * base, f"expected a closer sampler, got {learned} after {base}")


def goes_on(folder):
    succeed(2, "train", *KEYS, "--train.updates=40", f"--run.output={folder}/whole", limit_s=120)
    cut = folder / "cut"
    metrics_file = cut / "metrics.jsonl"
    done = cut_short(2, lambda: metrics_file.exists() and metrics_file.read_text().count("\n") > 4,
                     "train", *KEYS, "--train.updates=40", f"--run.output={cut}")
    expect(done.code == 75, f"expected an interruption, got {done}")
    succeed(1, "train", *KEYS, "--train.updates=40", f"--run.output={cut}", limit_s=120)
    expect(parameters(folder / "whole") == parameters(cut), "expected the twist of an uninterrupted run")
    expect((folder / "whole/prompts.jsonl").read_bytes() == (cut / "prompts.jsonl").read_bytes(), "expected its rows")
    lines = (ROOT / "configs/prompts.jsonl").read_text().splitlines()
    (folder / "fewer.jsonl").write_text("\n".join(lines[:2]) + "\n")
    done = run(1, "train", *KEYS, "--train.updates=41", f"--prompt.file={folder}/fewer.jsonl", f"--run.output={cut}")
    expect(done.code == 78 and "prompts that the twist learned on" in done.err, f"expected other prompts to be refused, got {done}")


def several_at_once(folder):
    """Three prompts in each update: the same bits on any number of ranks, and after a stop on others."""
    keys = [*KEYS, "--train.prompts_per_update=3", "--train.updates=30"]
    for ranks, group in ((1, 1), (2, 1), (3, 0)):
        succeed(ranks, "train", *keys, f"--run.ranks_per_population={group}", f"--run.output={folder}/{ranks}", limit_s=120)
    first = folder / "1"
    for ranks in "23":
        expect_same(folder / ranks, first, f"{ranks} ranks", sha256=parameters, metrics=metrics, rows=rows_of)
    cut = folder / "cut"
    done = cut_short(2, lambda: n_updates(cut) > 4, "train", *keys, f"--run.output={cut}")
    expect(done.code == 75, f"expected an interruption, got {done}")
    succeed(3, "train", *keys, f"--run.output={cut}", limit_s=120)
    expect_same(cut, first, "a run that was stopped", sha256=parameters, metrics=metrics, rows=rows_of)
    done = run(1, "train", *keys, "--train.prompts_per_update=2", "--train.updates=31", f"--run.output={cut}")
    expect(done.code == 78 and "prompts_per_update" in done.err, f"expected a checkpoint of other updates to be refused, got {done}")


def keeps_the_best(folder):
    """Means over prompts are looked at on the way; the run ends with the twist whose bounds lie closest together on average."""
    keys = [*KEYS, "--target.words=fox", "--train.updates=20", "--train.epochs=2", "--train.keep=best", "--train.learning_rate=0.05",
            "--evaluate.repeats=10"]
    for ranks in (1, 2):
        succeed(ranks, "train", *keys, "--run.ranks_per_population=1", f"--run.output={folder}/{ranks}", limit_s=200)
    first = folder / "1"
    expect_same(folder / "2", first, "2 ranks", sha256=parameters, metrics=metrics, rows=rows_of)
    seen = {int(line["update"]): float(line["evaluation.distance"]) for line in metrics(first) if line.get("event") == "evaluation"}
    expect(list(seen) == [0, 10, 20], f"expected an evaluation before each epoch and at the end, got {seen}")
    best = min(seen, key=seen.get)
    print("mean gap over prompts by update:", seen)
    expect(best == 10, f"expected a step size that first helps and then spoils, got {seen}")
    summary = json.loads((first / "summary.json").read_text())
    expect(summary["updates"] == best, f"expected the twist after {best} updates, got {summary['updates']}")
    gaps = []
    for row in map(json.loads, rows_of(first).splitlines()):
        z = row["twist"]["log_z"]
        pairs = [(z[f"{way}_lower"], z[f"{way}_upper"]) for way in ("sis", "smc") if z[f"{way}_upper"]]
        gaps += [min(abs(upper["mean"] - lower["mean"]) for lower, upper in pairs)] if pairs else []
    expect(gaps and abs(sum(gaps) / len(gaps) - seen[best]) < 1e-9, f"expected the mean of {gaps}, got {seen[best]}")
    succeed(1, "evaluate", *keys, f"--run.output={folder}/again", f"--evaluate.checkpoint={first}/best.h5", limit_s=120)
    expect(rows_of(first) == rows_of(folder / "again"), "expected the rows of best.h5")
    cut = folder / "cut"
    done = cut_short(2, lambda: n_updates(cut) >= 12, "train", *keys, f"--run.output={cut}")
    expect(done.code == 75, f"expected an interruption, got {done}")
    succeed(1, "train", *keys, f"--run.output={cut}", limit_s=120)
    expect_same(cut, first, "a run that was stopped", sha256=parameters, metrics=metrics, rows=rows_of)


def refusals(folder):
    def refused(words, *keys):
        done = run(0, "train", *KEYS, f"--run.output={folder}/refused", *keys)
        expect(done.code == 78 and all(word in done.err for word in words), f"{keys}: expected {words}, got {done}")

    refused(["train.positives = exact", "weighted"], "--train.positives=exact")
    refused(["train.positives = conditional", "weighted"], "--train.positives=conditional")
    refused(["train.positive_ids"], "--train.positive_ids=1 2 3 4")
    refused(["twist.body"], "--twist.body=lora")
    refused(["2 prompts cannot share train.batch = 25"], "--train.prompts_per_update=2", "--train.batch=25")
    refused(["train.prompts_per_update = 6", "4 prompts"], "--train.prompts_per_update=6")


main(ranks_do_not_show, it_learns, goes_on, several_at_once, keeps_the_best, refusals)
