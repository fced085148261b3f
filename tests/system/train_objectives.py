# SPDX-License-Identifier: Apache-2.0
"""Whole runs with every objective: learning lowers the exact divergences, on any number of ranks alike; what may not be resampled is
not; refusals say what to do. Schedules, budgets, the best twist, starts from another run."""
import json
import re

from run_twistor import EXACT_LOG_Z, QUICKSTART, SMALL, expect, main, run, succeed

OBJECTIVES = ["ctl", "rl", "sixo", "fudge", "dpg", "ppo"]
# Exact divergences after 120 updates of the quickstart's batches, from 7.38 and 6.41: about half as much again as was seen.
LEARNED = {"ctl": 0.15, "rl": 0.7, "sixo": 0.2, "fudge": 5.0, "dpg": 0.1, "ppo": 0.6}


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


def parameters(folder, name="checkpoint.h5"):
    found = re.search(r"parameters sha256: ([0-9a-f]{64})", succeed(0, "info", folder / name).out)
    return found.group(1) if expect(found, f"expected a digest of {folder / name}") else folder / name


def train(ranks, output, objective, *keys):
    return succeed(ranks, "train", QUICKSTART, *SMALL, f"--train.objective={objective}", "--train.positives=both",
                   f"--run.output={output}", *keys, limit_s=120)


def every_objective_learns(folder):
    learned = {}
    for objective in OBJECTIVES:
        output = folder / objective
        succeed(0, "train", QUICKSTART, f"--train.objective={objective}", "--train.updates=120", "--evaluate.repeats=20",
                "--exact.count=2000", "--train.evaluate=false", "--evaluate.base=false", "--run.progress=false",
                f"--exact.path={folder}/exact.h5", f"--run.output={output}", limit_s=200)
        result = summary(output)
        for name, kl in result["kl"].items():
            expect(kl["note"] == "exact" and 0 < kl["mean"] < LEARNED[objective] * (2 if name == "symmetrised" else 1),
                   f"{objective}: expected an exact {name} below {LEARNED[objective]}, got {kl}")
        learned[objective] = result["kl"]
        lower = result["log_z"]["smc_lower"]["mean"]
        expect(lower < EXACT_LOG_Z + 0.1, f"{objective}: expected a lower bound of log Z, got {lower}")
    rows = json.loads(succeed(0, "compare", *[folder / objective for objective in OBJECTIVES], "--format=json").out)
    expect([row["label"] for row in rows] == OBJECTIVES, f"expected a row for each objective, got {rows}")
    for row in rows:
        for name in ("q_sigma", "sigma_q"):
            expect(abs(row["kl_" + name]["mean"] - learned[row["label"]][name]["mean"]) < 1e-9,
                   f"expected the divergences of the runs, got {row}")


def ranks_do_not_show(folder):
    for objective in OBJECTIVES:
        for ranks in (1, 3):
            train(ranks, folder / f"{objective}.{ranks}", objective)
        expect(parameters(folder / f"{objective}.1") == parameters(folder / f"{objective}.3"),
               f"{objective}: expected the same parameters on 1 and 3 ranks")
        half = folder / f"{objective}.half"
        train(2, half, objective, "--train.updates=3", f"--exact.path={folder}/exact.h5")
        train(1, half, objective, f"--exact.path={folder}/exact.h5")
        expect(parameters(half) == parameters(folder / f"{objective}.1"), f"{objective}: expected a resumed run to end alike")


def what_may_not_be_resampled_is_not(folder):
    done = train(1, folder / "dpg", "dpg")
    expect("never resampled: train.objective = dpg" in done.err, f"expected a word on resampling, got {done}")
    expect(summary(folder / "dpg")["genealogy"]["founders"] == 16, "expected all 16 founders to live to the end")
    # The checkpoint knows, whatever the configuration of later commands says.
    for command in ("evaluate", "sample"):
        done = succeed(1, command, QUICKSTART, *SMALL, "--train.positives=both", "--sample.count=4", f"--run.output={folder}/{command}",
                       f"--evaluate.checkpoint={folder}/dpg/checkpoint.h5")
        expect("never resampled: train.objective = dpg" in done.err, f"expected a word on resampling, got {done}")
    done = run(0, "train", QUICKSTART, *SMALL, "--train.objective=ppo", "--smc.trigger=ess", f"--run.output={folder}/ess")
    expect(done.code == 78 and "smc.trigger = never" in done.err, f"expected a refusal that says what to do, got {done}")


def learning_ends_when_it_may(folder):
    done = train(2, folder / "samples", "ctl", "--train.max_samples=60")  # 24 an update
    expect(summary(folder / "samples")["updates"] == 3, f"expected 3 updates of 24 samples, got {done}")
    train(1, folder / "seconds", "ctl", "--train.max_seconds=0.000001")
    expect(summary(folder / "seconds")["updates"] == 1, "expected one update in no time")
    # A learning rate that spoils the twist: no evaluation is better than the first.
    worse = ["--train.learning_rate=30", "--train.keep=best", "--train.patience=2", "--train.epochs=6", "--twist.init_scale=0.01"]
    done = train(1, folder / "best", "ctl", *worse)
    best = summary(folder / "best")["updates"]
    expect(best < 4 and f"the best twist is that after update {best}" in done.err and "learning ends after update" in done.err,
           f"expected an early end with an early twist, got {best}, {done}")
    done = succeed(1, "evaluate", QUICKSTART, *SMALL, *worse, "--train.positives=both", f"--run.output={folder}/best")
    expect(summary(folder / "best")["updates"] == best, "expected `evaluate` to take the best twist")
    train(1, folder / "warm", "ctl", f"--train.start={folder}/best/best.h5", "--train.updates=0")
    expect(parameters(folder / "warm") == parameters(folder / "best", "best.h5"), "expected the twist that was started from")
    done = run(0, "train", QUICKSTART, *SMALL, "--twist.form=linear", f"--train.start={folder}/best/best.h5", f"--run.output={folder}/x")
    expect(done.code == 78 and "twist.form is 'mlp' there" in done.err, f"expected a refusal, got {done}")
    done = run(0, "train", QUICKSTART, *SMALL, f"--train.start={folder}/nowhere.h5", f"--run.output={folder}/x")
    expect(done.code == 66, f"expected a refusal, got {done}")


def schedules_are_part_of_the_state(folder):
    keys = ["--train.decay=cosine", "--train.warm_up=2", "--train.clip_norm=0.5", f"--exact.path={folder}/exact.h5"]
    train(1, folder / "whole", "ctl", *keys)
    train(1, folder / "plain", "ctl", f"--exact.path={folder}/exact.h5")
    expect(parameters(folder / "whole") != parameters(folder / "plain"), "expected a schedule to matter")
    done = run(0, "train", QUICKSTART, *SMALL, "--train.positives=both", *keys, f"--run.output={folder}/whole", "--train.updates=8")
    expect(done.code == 78 and "train.updates is '6'" in done.err, f"expected a decay to fix train.updates, got {done}")


def refusals(folder):
    done = run(0, "train", QUICKSTART, *SMALL, "--train.objective=fudge", f"--run.output={folder}/fudge", "--target.potential=lexicon",
               "--target.lexicon=" + str(folder / "words"), "--target.words=", "--target.log_floor=-inf", "--exact.source=none",
               "--train.positives=weighted")
    expect(done.code in (66, 78), f"expected a refusal, got {done}")
    (folder / "words").write_text("ate\t1.5\n")
    done = run(0, "train", QUICKSTART, *SMALL, "--train.objective=fudge", f"--run.output={folder}/fudge", "--target.potential=lexicon",
               "--target.lexicon=" + str(folder / "words"), "--target.words=", "--target.log_floor=-inf", "--exact.source=none",
               "--train.positives=weighted")
    expect(done.code == 78 and "no bound of phi is known" in done.err and "target.cap" in done.err, f"expected a refusal, got {done}")
    train(1, folder / "run", "fudge")
    done = run(0, "train", QUICKSTART, *SMALL, "--train.positives=both", f"--run.output={folder}/run", "--train.updates=8")
    expect(done.code == 78 and "train.objective is 'fudge'" in done.err, f"expected a refusal, got {done}")
    done = run(0, "train", QUICKSTART, *SMALL, "--train.objective=rl", "--target.log_floor=-inf", f"--run.output={folder}/rl")
    expect(done.code == 0 and "rl fits log phi; set a finite target.log_floor" in done.err, f"expected a warning, got {done}")


main(every_objective_learns, ranks_do_not_show, what_may_not_be_resampled_is_not, learning_ends_when_it_may,
     schedules_are_part_of_the_state, refusals)
