# SPDX-License-Identifier: Apache-2.0
"""Signals outside learning: exact sampling, evaluation and sampling keep what they have, end within seconds with 75, and the next
run goes on from there to the same numbers."""
import os
import re
import signal
import time

from run_twistor import (QUICKSTART, ROOT, SMALL, TINY, difference, estimates, expect, finish, info, main, metrics, parameters, ranks_of,
                         start, succeed, wait_until)

N_EXACT = 200  # by rejection, at an acceptance of 0.0016


def err_so_far(process):
    return os.pread(process.files[1].fileno(), 1 << 20, 0).decode()


def interrupted(what, ranks, words, stage, send, pause_s=0.4):
    """Sends a signal a moment after the run has said that it is in this stage; it must end soon, with 75."""
    process = start(ranks, *words, "--run.progress=true")
    expect(wait_until(lambda: stage in err_so_far(process) or process.poll() is not None), f"{what}: expected '{stage}' on stderr")
    time.sleep(pause_s)
    expect(process.poll() is None, f"{what}: expected a run that takes longer, got {err_so_far(process)}")
    send(process)
    sent = time.monotonic()
    done = finish(process, limit_s=10)
    expect(time.monotonic() - sent < 5, f"{what}: expected the job to end soon, got {done}")
    expect(done.code == 75 and done.err.count("stopped by signal") == 1, f"{what}: expected one message and exit code 75, got {done}")
    return done


def first_amount(err, stage):
    """K of the first "STAGE K of N" that a run shows, -1 if it shows none."""
    found = re.search(re.escape(stage) + r" (\d+) of", err)
    return int(found[1]) if found else -1


def evaluation(folder):
    """Repeats and samples that are done are kept; another number of ranks and other groups go on from them."""
    keys = [QUICKSTART, *SMALL, "--evaluate.repeats=2500", "--evaluate.base=false", f"--exact.path={folder}/exact.h5"]
    for name in ["whole", "parts"]:
        succeed(2, "train", *keys, f"--run.output={folder}/{name}", "--evaluate.repeats=3")
    succeed(1, "evaluate", *keys, f"--run.output={folder}/whole")
    words = ["evaluate", *keys, f"--run.output={folder}/parts"]
    summary = (folder / "parts/summary.json").read_bytes()
    interrupted("evaluate", 2, words, "evaluation: repeats (SMC lower bound):", lambda p: os.kill(ranks_of(p)[1], signal.SIGUSR1))
    interrupted("evaluate again", 0, words, "evaluation: ", lambda p: os.kill(p.pid, signal.SIGINT))
    expect((folder / "parts/evaluation.partial.h5").exists(), "expected the finished repeats in a file")
    expect((folder / "parts/summary.json").read_bytes() == summary, "expected a stopped evaluation to leave summary.json alone")
    done = succeed(3, *words, "--run.ranks_per_population=1", "--run.progress=true")
    expect(first_amount(done.err, "evaluation: repeats (SMC lower bound):") > 50, f"expected it to go on, got {done.err}")
    expect(not (folder / "parts/evaluation.partial.h5").exists(), "expected nothing to be left of the interruption")
    where = difference(estimates(folder / "parts"), estimates(folder / "whole"))
    expect(not where, f"an evaluation in three parts differs from a whole one in {where}")
    # Another evaluation takes nothing from it.
    interrupted("evaluate", 2, words, "evaluation: repeats (SMC lower bound):", lambda p: os.kill(ranks_of(p)[1], signal.SIGTERM))
    done = succeed(2, *words, "--smc.particles=8", "--evaluate.repeats=3", "--run.progress=true")
    expect(first_amount(done.err, "evaluation: repeats (SMC lower bound):") == 0, f"expected another evaluation to begin anew, got {done.err}")


def base_evaluation(folder):
    """What was found about the base model is kept too, also while the twist is evaluated."""
    keys = [QUICKSTART, *SMALL, "--evaluate.repeats=2000", f"--exact.path={folder}/exact.h5"]
    for name in ["whole", "parts"]:
        succeed(2, "train", *keys, f"--run.output={folder}/{name}", "--evaluate.repeats=3")
    succeed(2, "evaluate", *keys, f"--run.output={folder}/whole")
    words = ["evaluate", *keys, f"--run.output={folder}/parts"]
    interrupted("the base model", 2, words, "evaluation: repeats (SMC lower bound):", lambda p: os.kill(ranks_of(p)[1], signal.SIGUSR1))
    expect((folder / "parts/base.partial.h5").exists(), "expected the finished repeats of the base model in a file")
    succeed(3, *words)
    expect(not list((folder / "parts").glob("*.partial.h5")), "expected nothing to be left of the interruption")
    where = difference(estimates(folder / "parts"), estimates(folder / "whole"))
    expect(not where, f"an evaluation in two parts differs from a whole one in {where}")


def evaluation_in_training(folder):
    """Stopped in the evaluation before learning, and again in the one after it."""
    keys = [QUICKSTART, *SMALL, "--evaluate.repeats=2000", "--train.checkpoint_every=0", f"--exact.path={folder}/exact.h5"]
    succeed(2, "train", *keys, f"--run.output={folder}/whole")
    words = ["train", *keys, f"--run.output={folder}/parts"]
    interrupted("before learning", 2, words, "evaluation: ", lambda p: os.kill(ranks_of(p)[1], signal.SIGTERM))
    expect(not (folder / "parts/checkpoint.h5").exists(), "expected no checkpoint of a twist that has not learned")
    interrupted("after learning", 2, words, "update 6 of 6", lambda p: os.kill(ranks_of(p)[0], signal.SIGTERM))
    done = succeed(3, *words, "--run.progress=true")
    expect("resuming after update 6" in done.err and first_amount(done.err, "evaluation: repeats (SMC lower bound):") > 0,
           f"expected the evaluation after learning to go on, got {done}")
    for what, read in {"sha256": parameters, "estimates": estimates, "metrics": metrics}.items():
        where = difference(read(folder / "parts"), read(folder / "whole"), what)
        expect(not where, f"stopped in both evaluations: differs from an uninterrupted run in {where}")


def evaluation_of_observations(folder):
    """Stopped while one of several observations is measured; those that are done are kept, on other ranks too."""
    keys = [str(ROOT / "configs/paper/infill-2-1_small.cfg"), f"--model.path={TINY}", *SMALL, "--train.observations=8", "--train.positive_batch=8",
            "--train.checkpoint_every=0", "--evaluate.observations=6", "--evaluate.repeats=400", "--evaluate.base=false",
            f"--exact.path={folder}/exact.h5"]
    succeed(2, "train", *keys, f"--run.output={folder}/whole")
    words = ["train", *keys, f"--run.output={folder}/parts"]
    interrupted("observations", 2, words, "observation 1 of 6, ", lambda p: os.kill(ranks_of(p)[1], signal.SIGTERM), pause_s=1)
    expect((folder / "parts/evaluation.partial.h5").exists(), "expected what was found in a file")
    interrupted("observations again", 0, words, "observation ", lambda p: os.kill(p.pid, signal.SIGINT), pause_s=0.1)
    done = succeed(3, *words, "--run.ranks_per_population=1", "--run.progress=true")
    expect("observation 6 of 6, " in done.err and "observation 1 of 6, repeats (SMC lower bound): 0 of 400" not in done.err,
           f"expected what was done to be kept, got {done.err}")
    expect(not (folder / "parts/evaluation.partial.h5").exists(), "expected nothing to be left of the interruption")
    for what, read in {"sha256": parameters, "estimates": estimates}.items():
        where = difference(read(folder / "parts"), read(folder / "whole"), what)
        expect(not where, f"an evaluation over observations in three parts differs from a whole one in {where}")


def exact_samples(folder):
    """Rejection keeps its draws and goes on from them; an enumeration that is cut short leaves nothing."""
    keys = [QUICKSTART, *SMALL, "--exact.source=rejection", f"--exact.count={N_EXACT}", "--train.updates=1", "--train.evaluate=false"]
    succeed(2, "train", *keys, f"--run.output={folder}/whole")
    words = ["train", *keys, f"--run.output={folder}/parts"]
    interrupted("rejection", 2, words, "exact samples: ", lambda p: os.kill(ranks_of(p)[1], signal.SIGTERM))
    files = sorted(f.name for f in (folder / "parts").iterdir())
    expect(files == ["exact.partial.h5"], f"expected the samples so far and nothing else, got {files}")
    done = succeed(3, *words, "--run.progress=true")
    expect(first_amount(done.err, "exact samples:") > 0, f"expected the rejection to go on, got {done.err}")
    expect(not (folder / "parts/exact.partial.h5").exists(), "expected the part to be gone with the whole")
    expect(info(folder / "parts/exact.h5") == info(folder / "whole/exact.h5"), "expected the same draws in two parts on other ranks")
    where = difference(estimates(folder / "parts"), estimates(folder / "whole"))
    expect(not where, f"rejection in two parts differs from a whole one in {where}")
    words = ["train", QUICKSTART, *SMALL, f"--run.output={folder}/enumeration"]
    interrupted("enumeration", 2, words, "enumerating sequences:", lambda p: os.kill(ranks_of(p)[0], signal.SIGTERM), pause_s=0)
    expect(not list((folder / "enumeration").iterdir()), "expected nothing of an enumeration that was cut short")


def samples(folder):
    keys = [QUICKSTART, *SMALL, f"--run.output={folder}/run", "--sample.count=80000", "--sample.from=population"]
    succeed(2, "train", *keys)
    succeed(2, "sample", *keys, f"--sample.path={folder}/whole.jsonl")
    words = ["sample", *keys, f"--sample.path={folder}/parts.jsonl"]
    interrupted("sample", 2, words, "samples: 0 of", lambda p: os.kill(ranks_of(p)[1], signal.SIGUSR1))
    expect(not (folder / "parts.jsonl").exists(), "expected no samples under their final name")
    done = succeed(3, *words, "--run.ranks_per_population=1", "--run.progress=true")
    expect(first_amount(done.err, "Z samples:") > 0, f"expected it to go on, got {done.err}")
    expect((folder / "parts.jsonl").read_bytes() == (folder / "whole.jsonl").read_bytes(), "expected the same samples in two parts")


def twice(folder):
    """The second SIGINT ends at once, also where the first is not looked at: a potential that does not answer."""
    process = start(0, "train", QUICKSTART, *SMALL, "--target.potential=process", "--target.command=sleep 30", "--target.words=",
                    "--target.log_floor=-inf", f"--run.output={folder}/run")
    expect(wait_until(lambda: "enumerating" in err_so_far(process)), "expected an enumeration")
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.5)
    expect(process.poll() is None, f"expected a run that waits for its potential, got {err_so_far(process)}")
    os.kill(process.pid, signal.SIGINT)
    sent = time.monotonic()
    done = finish(process, limit_s=10)
    expect(done.code == -signal.SIGINT and time.monotonic() - sent < 1, f"expected the second SIGINT to end it at once, got {done}")


main(evaluation, base_evaluation, evaluation_in_training, evaluation_of_observations, exact_samples, samples, twice)
