# SPDX-License-Identifier: Apache-2.0
"""Computed twists: evaluate and sample without a checkpoint, the same numbers on all ranks, and what is refused."""
import json

from run_twistor import ROOT, expect, main, parameters, run, succeed

AUTOMATON = str(ROOT / "configs/automaton.cfg")
# Three tokens, so that enumeration takes no time; few of everything.
FEW = ["--target.length=3", "--evaluate.repeats=5", "--evaluate.samples=100", "--exact.count=100", "--smc.particles=16", "--run.progress=false"]


def evaluates_on_any_number_of_ranks(folder):
    """Every number has the same bits, and psi closes most of the gap of the bounds that psi = 1 leaves."""
    found = {}
    for ranks in (1, 3):
        done = succeed(ranks, "evaluate", AUTOMATON, *FEW, f"--run.output={folder}/on{ranks}")
        expect("backward pass" in done.err and "computed" in done.out, f"expected the cost and a column of the computed twist, got {done}")
        page = (folder / f"on{ranks}/report.html").read_text(encoding="utf-8")
        expect(">computed</th>" in page and "after 0 updates" not in page, "expected a column of the computed twist in the page")
        expect("twist: computed\n" in succeed(0, "info", folder / f"on{ranks}/summary.json").out, "expected the name of the computed twist")
        whole = json.loads((folder / f"on{ranks}/summary.json").read_text())
        found[ranks] = {name: whole[name] for name in ("log_z", "kl", "proposal")}
        base = whole["base"]["log_z"]
    expect(found[1] == found[3], "expected the same numbers on 1 and 3 ranks")
    here = found[1]["log_z"]
    gap, gap_of_base = (z["smc_upper"]["mean"] - z["smc_lower"]["mean"] for z in (here, base))
    expect(gap < 0.5 * gap_of_base, f"expected the gap {gap} to be less than half of {gap_of_base}")


def words_close_the_gap(folder):
    """Sets of words are an automaton too, and its psi closes most of the gap that psi = 1 leaves."""
    succeed(2, "evaluate", AUTOMATON, *FEW, "--target.potential=keywords", "--target.pattern=", "--target.all_of=the", "--target.any_of=ate, bit",
            "--target.none_of=ran", f"--run.output={folder}/words")
    whole = json.loads((folder / "words/summary.json").read_text())
    gap, gap_of_base = (z["smc_upper"]["mean"] - z["smc_lower"]["mean"] for z in (whole["log_z"], whole["base"]["log_z"]))
    expect(gap < 0.5 * gap_of_base, f"expected the gap {gap} to be less than half of {gap_of_base}")


def samples_on_any_number_of_ranks(folder):
    rows = []
    for ranks in (1, 3):
        succeed(ranks, "sample", AUTOMATON, *FEW, "--sample.count=10", f"--run.output={folder}/samples{ranks}")
        rows.append((folder / f"samples{ranks}/samples.jsonl").read_text())
    expect(rows[0] == rows[1] and len(rows[0].splitlines()) == 10, "expected the same ten draws on 1 and 3 ranks")


def learns_on_top(folder):
    """A head on the computed twist begins as that, gets closer to sigma than both, and is used again whatever the seed."""
    learned = [*FEW, "--twist.form=mlp", "--train.updates=60", "--train.positives=exact", "--exact.count=1000", "--train.learning_rate=0.0003",
               "--twist.ngram_order=1", f"--exact.path={folder}/exact.h5"]
    both = [*learned, "--twist.residual=true"]
    for ranks in (1, 3):
        succeed(ranks, "train", AUTOMATON, *both, f"--run.output={folder}/top{ranks}")
    expect(parameters(folder / "top1") == parameters(folder / "top3"), "expected the same parameters on 1 and 3 ranks")
    succeed(1, "train", AUTOMATON, *learned, f"--run.output={folder}/head")
    succeed(2, "evaluate", AUTOMATON, *FEW, "--twist.ngram_order=1", f"--exact.path={folder}/exact.h5", f"--run.output={folder}/computed")
    top, head, computed = (json.loads((folder / f"{name}/summary.json").read_text()) for name in ("top1", "head", "computed"))
    kl = [e["kl"]["sigma_q"]["mean"] for e in (top["before"], top, head, computed)]
    expect(kl[1] < 0.8 * kl[0] and kl[1] < 0.8 * kl[2], f"KL(sigma || q) before, after, of the head alone, computed: {kl}")
    # Its n-gram model has a seed of its own.
    expect(abs(kl[0] - kl[3]) < 0.2 * kl[3], f"expected learning to begin near the computed twist, got {kl}")
    succeed(1, "evaluate", AUTOMATON, *both, "--run.seed=7", f"--run.output={folder}/top1")
    again = json.loads((folder / "top1/summary.json").read_text())["kl"]["sigma_q"]["mean"]
    expect(again == kl[1], f"expected the same exact divergence with another seed, got {again} and {kl[1]}")
    for keys, words in [([*learned, f"--run.output={folder}/top1"], "twist.residual"),
                        ([*both, "--twist.form=ratio", f"--run.output={folder}/refused"], "set twist.form = linear"),
                        ([*both, "--train.objective=fudge", "--target.log_floor=-3", f"--exact.path={folder}/other.h5",
                          f"--run.output={folder}/refused"], "set train.objective = ctl"),
                        ([*both, "--twist.body=copy", f"--run.output={folder}/refused"], "twist.body is copy")]:
        done = run(1, "train", AUTOMATON, *keys)
        expect(done.code == 78 and words in done.err, f"expected a refusal with '{words}', got {done}")


def refuses(folder):
    def refused(words, *arguments):
        done = run(1, *arguments, f"--run.output={folder}/refused")
        expect(done.code == 78 and words in done.err, f"expected a refusal with '{words}', got {done}")

    refused("nothing that `train` could learn", "train", AUTOMATON, *FEW)
    refused("the potential is none", "evaluate", str(ROOT / "configs/power.cfg"), *FEW, "--twist.form=automaton", "--policy.cold.path=")
    refused("twist.body is lora", "evaluate", AUTOMATON, *FEW, "--twist.body=lora")
    refused("at byte 4", "evaluate", AUTOMATON, *FEW, "--target.pattern=(a)\\1")


main(evaluates_on_any_number_of_ranks, words_close_the_gap, samples_on_any_number_of_ranks, learns_on_top, refuses)
