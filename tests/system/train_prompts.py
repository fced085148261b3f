# SPDX-License-Identifier: Apache-2.0
"""train over many prompts: the same bits on any number of ranks and after a stop, all prompts in turn, an evaluation of each at the end."""
import json

from run_twistor import ROOT, cut_short, expect, main, metrics, parameters, run, succeed

CONFIG = str(ROOT / "configs/prompts.cfg")
KEYS = [CONFIG, "--smc.proposal=twisted", "--target.log_floor=-4", "--train.updates=8", "--train.batch=24", "--train.checkpoint_every=1",
        "--twist.form=mlp", "--smc.particles=16", "--evaluate.repeats=3", "--evaluate.samples=40", "--exact.count=8", "--exact.budget=4000",
        "--run.progress=false"]


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


def refusals(folder):
    def refused(words, *keys):
        done = run(0, "train", *KEYS, f"--run.output={folder}/refused", *keys)
        expect(done.code == 78 and all(word in done.err for word in words), f"{keys}: expected {words}, got {done}")

    refused(["train.positives = exact", "weighted"], "--train.positives=exact")
    refused(["train.positives = conditional", "weighted"], "--train.positives=conditional")
    refused(["train.positive_ids"], "--train.positive_ids=1 2 3 4")
    refused(["twist.body"], "--twist.body=lora")
    refused(["train.keep"], "--train.keep=best")


main(ranks_do_not_show, it_learns, goes_on, refusals)
