# SPDX-License-Identifier: Apache-2.0
"""Targets that hardly any text of the model meets: what train.positives = auto makes of them, on any number of ranks and after a stop;
files of exact samples that are extended in place; what is refused."""
import json
import re

from run_twistor import QUICKSTART, SMALL, expect, main, parameters, run, succeed

# "stole" in the four words after this prompt has p0 = exp(-10.6) (by enumeration): one text in 40,000.
RARE = ["--target.words=stole", "--target.log_floor=-inf", "--exact.source=none"]
EXAMPLE = "--train.positive_ids=10,42,29,10"


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


def train(ranks, output, *keys, limit_s=60):
    return succeed(ranks, "train", QUICKSTART, *SMALL, *keys, f"--run.output={output}", limit_s=limit_s)


def divergence(folder, name, *keys):
    """KL(sigma || q) by enumeration, of what a run has learned."""
    succeed(0, "evaluate", QUICKSTART, *SMALL, *RARE, "--exact.source=enumeration", "--evaluate.enumerate_q=true", "--evaluate.base=true",
            "--train.positives=auto", *keys, f"--evaluate.checkpoint={folder}/{name}/checkpoint.h5", f"--run.output={folder}/{name}-exact")
    found = summary(folder / f"{name}-exact")
    return found["kl"]["sigma_q"]["mean"], found["base"]["kl"]["sigma_q"]["mean"]


def a_rare_target_is_learned_from_one_text(folder):
    done = train(1, folder / "weighted", *RARE, "--train.positives=weighted", "--train.updates=20")
    expect("use train.positives = auto" in done.err and summary(folder / "weighted")["counters"]["skipped_updates"] == 20,
           f"expected weighted positives to find nothing, got {done}")
    keys = [*RARE, EXAMPLE, "--train.positives=auto"]
    learner = ["--twist.form=tied_mlp", "--train.batch=64", "--train.positive_batch=64", "--train.checkpoint_every=0"]
    done = train(1, folder / "auto", *keys, *learner, "--train.updates=500")
    expect("positives: conditional: train.positive_ids names a sequence with phi > 0" in done.err, f"expected a reason, got {done}")
    found = summary(folder / "auto")
    expect(found["positives"].startswith("conditional: ") and found["counters"]["skipped_updates"] == 0, f"expected learning, got {found['positives']}")
    learned, base = divergence(folder, "auto", *learner)
    expect(base > 10 and learned < 4, f"expected KL(sigma || q) to fall from {base} to less than 4 (0.7 was seen), got {learned}")
    for objective in ("ctl", "dpg"):
        few = [*keys, f"--train.objective={objective}"]
        for ranks in (1, 3):
            train(ranks, folder / f"{objective}.{ranks}", *few)
        expect(parameters(folder / f"{objective}.1") == parameters(folder / f"{objective}.3"), f"{objective}: expected the same bits on 1 and 3 ranks")
        half = folder / f"{objective}.half"
        train(2, half, *few, "--train.updates=3")
        train(3, half, *few)
        expect(parameters(half) == parameters(folder / f"{objective}.1"), f"{objective}: expected a resumed run to end alike")


def auto_says_what_it_takes(folder):
    """The rule, case by case: exact samples enough, too few, none but p0 finds some, phi > 0 everywhere, nothing."""
    cases = [([], "exact: there are 30 exact samples to learn from"),
             (["--exact.count=20"], "conditional: there are 10 exact samples to learn from, too few for an update's 16"),
             (["--exact.source=none", "--target.words=played", "--target.log_floor=-inf"], "weighted: "),
             (["--exact.source=none"], "weighted: 256 of 256 samples of p0 have phi > 0"),
             (RARE, "conditional: 0 of 256 samples of p0 have phi > 0")]
    for number, (keys, words) in enumerate(cases):
        done = train(2, folder / str(number), "--train.positives=auto", "--train.updates=2", *keys)
        expect(f"positives: {words}" in done.err, f"expected 'positives: {words}', got {done}")
        expect(summary(folder / str(number))["positives"].startswith(words), f"expected {words} in the summary")
    # Exact samples that came later would make another run of it.
    done = run(1, "train", QUICKSTART, *SMALL, "--train.positives=auto", f"--run.output={folder}/1", "--train.updates=3")
    expect(done.code == 78 and "exact.count is '20' in the checkpoint" in done.err, f"expected a refusal, got {done}")


def files_are_extended(folder):
    """As one run would have drawn at once, whoever extends them, and shown with cost."""
    keys = ["--exact.source=rejection", "--target.words=ate,stole,bit,helped", "--train.positives=weighted", "--train.updates=1"]
    shared = f"--exact.path={folder}/shared.h5"
    train(1, folder / "a", *keys, shared, "--exact.count=10")
    done = train(3, folder / "b", *keys, shared, "--run.seed=7")
    expect(f"{folder}/shared.h5 has 10 of 60 exact samples from" in done.err and re.search(r"60 of 60 exact samples from \d+ draws, one in [\d.]+ in [\d.]+ s", done.err),
           f"expected a word on what there was and what it cost, got {done}")
    train(2, folder / "c", *keys, f"--exact.path={folder}/whole.h5")
    of = [re.findall(r"(?:draws|tokens|seed).*", succeed(0, "info", folder / name).out) for name in ("shared.h5", "whole.h5")]
    expect(of[0] == of[1] and of[0], f"expected the set that was extended to be that made at once, got {of}")
    train(1, folder / "d", *keys, f"--exact.path={folder}/whole.h5", "--run.seed=7")
    expect(summary(folder / "b")["log_z"] == summary(folder / "d")["log_z"], "expected evaluations with both to agree to the bit")
    expect(not list(folder.glob("*.lock")) and not list(folder.glob("*.partial.h5")), "expected nothing to be left behind")


def refusals(folder):
    for ids, words in [("1,2,3", "it has 3 tokens, and target.length is 4"), ("5,5,5,99", "there is no token 99"), ("4,4,4,4", "log phi -inf")]:
        done = run(2, "train", QUICKSTART, *SMALL, *RARE, "--train.positives=conditional", f"--train.positive_ids={ids}", f"--run.output={folder}/x")
        expect(done.code == 78 and words in done.err and done.err.count("hint: ") == 1, f"expected a refusal with '{words}', got {done}")
    done = run(0, "train", QUICKSTART, *SMALL, "--twist.form=ratio", f"--run.output={folder}/x")
    expect(done.code == 78 and "set twist.body = copy or lora" in done.err, f"expected a refusal, got {done}")
    done = run(0, "train", QUICKSTART, *SMALL, "--twist.form=ratio", "--twist.body=lora", f"--run.output={folder}/x")
    expect(done.code == 78 and "set train.objective = ratio or dpg" in done.err, f"expected a refusal, got {done}")
    done = run(0, "train", QUICKSTART, *SMALL, "--train.objective=ratio", f"--run.output={folder}/x")
    expect(done.code == 78 and "set twist.form = ratio" in done.err, f"expected a refusal, got {done}")


main(a_rare_target_is_learned_from_one_text, auto_says_what_it_takes, files_are_extended, refusals)
