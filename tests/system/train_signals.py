# SPDX-License-Identifier: Apache-2.0
"""SIGTERM, SIGINT and SIGUSR1 write a checkpoint and end the job within seconds; the run that goes on ends like one never stopped.

Signals outside learning: train_interrupts.py."""
import os
import signal
import time

from run_twistor import (QUICKSTART, SMALL, difference, estimates, expect, finish, leftovers, main, metrics, parameters,
                         ranks_of, start, succeed, wait_until)

KEYS = [*SMALL, "--train.checkpoint_every=0"]
# Milliseconds each. mpirun takes about 2 s to hand SIGTERM on, so the training must be longer there.
FEW, MANY = 1000, 10000  # mpirun takes two seconds to hand a signal on


def n_updates(output):
    file = output / "metrics.jsonl"
    return sum("loss" in line for line in file.read_text().splitlines()) if file.exists() else 0


def train(folder, name, n):
    return ["train", QUICKSTART, *KEYS, f"--train.updates={n}", f"--exact.path={folder}/exact.h5", f"--run.output={folder}/{name}"]


def stopped(folder, name, ranks, send, words):
    """Starts a long training, sends a signal after some updates, and looks at how it ends."""
    output = folder / name
    wanted = MANY if f"--train.updates={MANY}" in words else FEW
    process = start(ranks, *words)
    expect(wait_until(lambda: n_updates(output) >= 5), f"{name}: expected updates in {output}")
    send(process)
    before = n_updates(output)
    sent = time.monotonic()
    done = finish(process, limit_s=10)
    seconds = time.monotonic() - sent
    at = n_updates(output)
    expect(before <= at < wanted, f"{name}: expected the training to stop, got {at} updates")
    expect(seconds < 5, f"{name}: expected the job to end soon, it took {seconds:.1f} s")
    expect((output / "checkpoint.h5").exists() and not leftovers(output), f"{name}: expected a checkpoint alone, got {done}")
    expect(not (output / "summary.json").exists(), f"{name}: expected no summary of a run that is not finished")
    return done


def goes_on(folder, name, ranks, words, whole):
    succeed(ranks, *words)
    for what, read in {"sha256": parameters, "estimates": estimates, "metrics": metrics}.items():
        where = difference(read(folder / name), read(folder / whole), what)
        expect(not where, f"{name}, gone on: differs from an uninterrupted run in {where}")


def signals(folder):
    for n in [FEW, MANY]:
        succeed(2, *train(folder, f"whole-{n}", n))
    cases = [
        ("mpirun-USR1", 2, lambda p: os.kill(p.pid, signal.SIGUSR1), signal.SIGUSR1),
        ("mpirun-TERM", 2, lambda p: os.kill(p.pid, signal.SIGTERM), signal.SIGTERM),
        ("rank-TERM", 3, lambda p: os.kill(ranks_of(p)[-1], signal.SIGTERM), signal.SIGTERM),
        ("rank-USR1", 2, lambda p: os.kill(ranks_of(p)[0], signal.SIGUSR1), signal.SIGUSR1),
        ("alone-TERM", 0, lambda p: os.kill(p.pid, signal.SIGTERM), signal.SIGTERM),
        ("alone-INT", 0, lambda p: os.kill(p.pid, signal.SIGINT), signal.SIGINT),
    ]
    for name, ranks, send, number in cases:
        n = MANY if name == "mpirun-TERM" else FEW
        words = train(folder, name, n)
        done = stopped(folder, name, ranks, send, words)
        expect(done.err.count(f"stopped by signal {int(number)}; the checkpoint after update") == 1 and "run again to go on" in done.err,
               f"{name}: expected one message that says how to go on, got {done}")
        # mpirun itself reports a failure of its own when it was told to end.
        expect(done.code == 75 or (name == "mpirun-TERM" and done.code != 0), f"{name}: expected exit code 75, got {done}")
        goes_on(folder, name, ranks, words, f"whole-{n}")


main(signals)
