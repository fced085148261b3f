# SPDX-License-Identifier: Apache-2.0
"""Computed twists: evaluate and sample without a checkpoint, the same numbers on all ranks, and what is refused."""
import json

from run_twistor import ROOT, expect, main, run, succeed

AUTOMATON = str(ROOT / "configs/automaton.cfg")
# Three tokens, so that enumeration takes no time; few of everything.
FEW = ["--target.length=3", "--evaluate.repeats=5", "--evaluate.samples=100", "--exact.count=100", "--smc.particles=16", "--run.progress=false"]


def evaluates_on_any_number_of_ranks(folder):
    """Every number has the same bits, and psi closes most of the gap of the bounds that psi = 1 leaves."""
    found = {}
    for ranks in (1, 3):
        done = succeed(ranks, "evaluate", AUTOMATON, *FEW, f"--run.output={folder}/on{ranks}")
        expect("backward pass" in done.err and "computed" in done.out, f"expected the cost and a column of the computed twist, got {done}")
        whole = json.loads((folder / f"on{ranks}/summary.json").read_text())
        found[ranks] = {name: whole[name] for name in ("log_z", "kl", "proposal")}
        base = whole["base"]["log_z"]
    expect(found[1] == found[3], "expected the same numbers on 1 and 3 ranks")
    here = found[1]["log_z"]
    gap, gap_of_base = (z["smc_upper"]["mean"] - z["smc_lower"]["mean"] for z in (here, base))
    expect(gap < 0.5 * gap_of_base, f"expected the gap {gap} to be less than half of {gap_of_base}")


def samples_on_any_number_of_ranks(folder):
    rows = []
    for ranks in (1, 3):
        succeed(ranks, "sample", AUTOMATON, *FEW, "--sample.count=10", f"--run.output={folder}/samples{ranks}")
        rows.append((folder / f"samples{ranks}/samples.jsonl").read_text())
    expect(rows[0] == rows[1] and len(rows[0].splitlines()) == 10, "expected the same ten draws on 1 and 3 ranks")


def refuses(folder):
    def refused(words, *arguments):
        done = run(1, *arguments, f"--run.output={folder}/refused")
        expect(done.code == 78 and words in done.err, f"expected a refusal with '{words}', got {done}")

    refused("nothing that `train` could learn", "train", AUTOMATON, *FEW)
    refused("the potential is none", "evaluate", str(ROOT / "configs/power.cfg"), *FEW, "--twist.form=automaton", "--policy.cold.path=")
    refused("twist.body is lora", "evaluate", AUTOMATON, *FEW, "--twist.body=lora")
    refused("at byte 4", "evaluate", AUTOMATON, *FEW, "--target.pattern=(a)\\1")


main(evaluates_on_any_number_of_ranks, samples_on_any_number_of_ranks, refuses)
