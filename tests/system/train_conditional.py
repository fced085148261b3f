# SPDX-License-Identifier: Apache-2.0
"""Twists that see an observation: one twist learns the targets of all of them, means over observations are reported, ranks and
interruptions do not show, it then serves an observation that the user names, and refusals say what to do."""
import json
import math
import re

from run_twistor import ROOT, TINY, estimates, expect, main, run, succeed

CONFIG = [str(ROOT / "configs/paper/infill-2-1_small.cfg"), f"--model.path={TINY}"]
OBJECTIVES = ["ctl", "rl", "sixo", "fudge", "dpg", "ppo"]
SMALL = ["--train.updates=4", "--train.batch=16", "--train.positive_batch=16", "--train.observations=8", "--train.checkpoint_every=1",
         "--smc.particles=16", "--evaluate.repeats=2", "--evaluate.samples=20", "--evaluate.observations=3", "--run.progress=false"]
CLASSIFIER = ["--twist.condition=class", "--target.potential=classifier", f"--target.classifier={ROOT}/tests/golden/encoders/bert",
              "--target.length=3", "--evaluate.enumerate=never"]


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


def parameters(folder):
    found = re.search(r"parameters sha256: ([0-9a-f]{64})", succeed(0, "info", folder / "checkpoint.h5").out)
    return found.group(1) if expect(found, f"expected a digest of {folder}") else folder


def train(ranks, output, objective, *keys, code=0):
    done = run(ranks, "train", *CONFIG, *SMALL, f"--train.objective={objective}", f"--run.output={output}", *keys, limit_s=120)
    expect(done.code == code, f"expected exit code {code} of {objective} on {ranks} ranks, got {done}")
    return done


def learns_all_observations(folder):
    """Exact divergences, as means over observations."""
    for objective, most in {"ctl": 0.5, "dpg": 0.5}.items():
        output = folder / objective
        done = succeed(2, "train", *CONFIG, f"--train.objective={objective}", "--train.updates=250", "--train.batch=128",
                       "--train.positive_batch=64", "--train.observations=32", "--train.learning_rate=0.002", "--evaluate.observations=24",
                       "--evaluate.base=true", "--train.evaluate=true", "--run.progress=false", f"--exact.path={folder}/pairs.h5",
                       f"--run.output={output}", limit_s=250)
        expect("means over 24 observations" in done.out, f"expected the table to say what its means are over, got {done}")
        result = summary(output)
        expect(result["observations"] == 24 and result["log_z"]["estimate"]["method"] == "exact", f"expected 24 exact ones, got {result['log_z']}")
        for name in ("q_sigma", "sigma_q"):
            kl, before = result["kl"][name], result["base"]["kl"][name]
            expect(kl["n"] == 24 and 0 < kl["mean"] < most < before["mean"] and kl["se"] > 0, f"{objective}: expected {name} to fall below {most}, got {kl} after {before}")
        # Mean bounds lie around the mean log Z: four repeats of each of 24, whose errors the second pair has.
        z, lower, upper = result["log_z"]["estimate"]["value"], result["log_z"]["smc_lower"], result["log_z"]["smc_upper"]
        expect(lower["mean"] < z + 0.05 and upper["mean"] > z - 0.05, f"expected bounds around {z}, got {lower} and {upper}")
    pairs = [(summary(folder / o)["log_z"]["estimate"]["value"]) for o in ("ctl", "dpg")]
    expect(pairs[0] == pairs[1], f"expected both to be evaluated on the same observations, got {pairs}")
    rows = json.loads(succeed(0, "compare", folder / "ctl", folder / "dpg", "--by", "train.objective", "--format=json").out)
    for row in rows:
        expect(abs(row["kl_q_sigma"]["mean"] - summary(folder / row["label"])["kl"]["q_sigma"]["mean"]) < 1e-9, f"expected the runs' means, got {row}")


def ranks_do_not_show(folder):
    for objective in OBJECTIVES:
        for ranks in (1, 2, 4):
            train(ranks, folder / f"{objective}.{ranks}", objective)
        for ranks in (2, 4):
            expect(parameters(folder / f"{objective}.1") == parameters(folder / f"{objective}.{ranks}"),
                   f"{objective}: expected the same parameters on 1 and {ranks} ranks")
        expect(estimates(folder / f"{objective}.1") == estimates(folder / f"{objective}.2"), f"{objective}: expected the same numbers")
        if objective == "ctl":  # a pair is exact: that is what auto takes
            train(1, folder / "auto", objective, "--train.positives=auto")
            expect(parameters(folder / "auto") == parameters(folder / "ctl.1"), "expected auto to take the exact samples that are there")
        half = folder / f"{objective}.half"
        train(2, half, objective, "--train.updates=2")
        train(1, half, objective)
        expect(parameters(half) == parameters(folder / f"{objective}.1"), f"{objective}: expected a resumed run to end alike")


def bodies_see_observations(folder):
    """The body that gives h reads o, and learns from it."""
    for body in ("copy", "lora"):
        keys = [f"--twist.body={body}", "--twist.lora_rank=2", "--train.learning_rate=0.001"]
        for ranks in (1, 2):
            train(ranks, folder / f"{body}.{ranks}", "ctl", *keys)
        expect(parameters(folder / f"{body}.1") == parameters(folder / f"{body}.2"), f"{body}: expected the same parameters on 1 and 2 ranks")


def classes(folder):
    for ranks in (1, 2):
        train(ranks, folder / f"class.{ranks}", "ctl", *CLASSIFIER, "--target.stop_at_eos=true")
    expect(parameters(folder / "class.1") == parameters(folder / "class.2"), "expected the same parameters on 1 and 2 ranks")
    result = summary(folder / "class.1")
    expect(result["observations"] == 3 and math.isfinite(result["kl"]["sigma_q"]["mean"]), f"expected means over 3 observations, got {result['kl']}")
    named = ["sample", *CONFIG, *SMALL, *CLASSIFIER, "--target.stop_at_eos=true", f"--evaluate.checkpoint={folder}/class.1/checkpoint.h5",
             f"--run.output={folder}/class.1", "--sample.count=4"]
    succeed(1, *named, "--target.class=1")
    expect((folder / "class.1/samples.jsonl").read_text().count("\n") == 4, "expected four samples of the class")


def serves_an_observation_that_is_named(folder):
    train(1, folder / "run", "dpg", "--train.updates=60", "--train.learning_rate=0.003")
    keys = [*CONFIG, *SMALL, f"--evaluate.checkpoint={folder}/run/checkpoint.h5"]
    found = {}
    for text in ("away", "cake"):
        output = folder / text
        succeed(1, "evaluate", *keys, f"--target.text={text}", f"--run.output={output}")
        found[text] = summary(output)
        expect("observations" not in found[text] and found[text]["kl"]["q_sigma"]["note"] == "exact", f"expected one exact target, got {found[text]['kl']}")
        succeed(1, "sample", *keys, f"--target.text={text}", f"--run.output={output}", "--sample.count=5")
    z = [found[text]["log_z"]["exact"] for text in found]
    expect(z[0] != z[1], f"expected two targets, got {z}")


def refusals(folder):
    def refused(words, *keys, code=78, command="train"):
        done = run(0, command, *CONFIG, *SMALL, f"--run.output={folder}/refused", *keys)
        expect(done.code == code and all(word in done.err for word in words), f"{command} {keys}: expected {code} and {words}, got {done}")

    refused(["twist.condition learns from", "names one", "target.ids"], "--target.text=cake")
    refused(["twist.condition = tokens needs", "target.beta = 1"], "--target.beta=2")
    refused(["twist.condition = tokens needs", "target.potential = continuation"], "--target.potential=contains", "--target.words=fox")
    refused(["twist.condition = class needs", "classifier"], "--twist.condition=class")
    refused(["twist.condition = class needs", "target.rule = probability"], *CLASSIFIER, "--target.rule=threshold")
    refused(["exact.source = auto"], "--exact.source=rejection")
    refused(["train.observations = 7", "train.batch = 16", "multiple"], "--train.observations=7")
    refused(["positive of each", "train.positives = exact, auto"], "--train.positives=smc")
    refused(["twist.form = tied_mlp", "no room"], "--twist.form=tied_mlp")
    train(0, folder / "none", "ctl", "--twist.condition=none", "--exact.source=enumeration", "--train.positives=weighted", "--train.updates=1")
    refused(["twist.condition", "'none'", "'tokens'"], f"--evaluate.checkpoint={folder}/none/checkpoint.h5", "--target.text=cake", command="evaluate")
    train(0, folder / "plain", "ctl", "--train.updates=1")
    refused(["pairs", "samples of one target"], f"--exact.path={folder}/none/exact.h5")

main(learns_all_observations, ranks_do_not_show, bodies_see_observations, classes, serves_an_observation_that_is_named, refusals)
