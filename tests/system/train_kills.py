# SPDX-License-Identifier: Apache-2.0
"""A rank that is killed at a random moment ends the job; the next run resumes from a whole checkpoint and learns the same.

TWISTOR_KILLS says how often (default 20). The moments have a fixed seed.
"""
import os
import random
import shutil
import time

from run_twistor import (QUICKSTART, SMALL, estimates, expect, expect_same, expect_whole_files, failures, kill_one, leftovers, main,
                         metrics, n_updates, parameters, ranks_of, start, succeed, wait_until)

N_KILLS = int(os.environ.get("TWISTOR_KILLS", "20"))
KEYS = [*SMALL, "--train.updates=100"]


def killed(ranks, words, output, chance):
    """Kills one rank, sometimes anywhere in a run, sometimes amid learning. None if the run was over before."""
    process = start(ranks, *words)
    if chance.random() < 0.3:
        wait_until(lambda: len(ranks_of(process)) == ranks or process.poll() is not None)
        time.sleep(chance.uniform(0.0, 1.2 if (output / "exact.h5").exists() else 2.0))
    else:
        wanted = n_updates(output) + chance.randrange(1, 50)
        wait_until(lambda: n_updates(output) >= wanted or process.poll() is not None)
        time.sleep(chance.uniform(0.0, 0.01))  # an update and its checkpoint take about as long
    return kill_one(process, chance)


def kills(folder):
    succeed(1, "train", QUICKSTART, *KEYS, f"--run.output={folder}/whole")
    chance = random.Random(1)
    n, jobs, n_resumed = 0, 0, 0
    while n < N_KILLS and not failures:
        output = folder / f"job-{jobs}"
        jobs += 1
        if jobs % 3 != 0:  # every third job makes its exact samples itself, which takes most of a run
            output.mkdir()
            shutil.copy(folder / "whole/exact.h5", output)
        words = ["train", QUICKSTART, *KEYS, f"--run.output={output}"]
        # A job is killed up to four times, then left to end.
        for _ in range(min(4, N_KILLS - n)):
            ranks = chance.choice([2, 3])
            done = killed(ranks, words, output, chance)
            if done is None:
                break
            n += 1
            n_resumed += "resuming after update" in done.err
            expect_whole_files(done)
        expect_whole_files(succeed(2, *words))
        expect_same(output, folder / "whole", f"job {jobs} after {n} kills", sha256=parameters, estimates=estimates, metrics=metrics)
        expect(not leftovers(output), f"expected no temporary files of killed runs, got {leftovers(output)}")
        shutil.rmtree(output)
    print(f"{n} kills in {jobs} jobs, {n_resumed} of them after resuming")
    expect(n_resumed > N_KILLS // 5, "expected some kills to hit runs that had resumed")


main(kills)
