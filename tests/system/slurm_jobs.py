# SPDX-License-Identifier: Apache-2.0
"""The batch scripts on a real Slurm of two nodes: several nodes, preemption, time limits, early signals, crashed steps, arrays.

Skipped (77) where no such cluster can be started: slurm_cluster.py says what it needs."""
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time

from run_twistor import QUICKSTART, ROOT, SMALL, TWISTOR, difference, estimates, expect, main, metrics, parameters, succeed
from slurm_cluster import Cluster, is_possible

if not is_possible():
    print("skipped: needs root, slurm-wlm and munge")
    sys.exit(77)

RUN, SWEEP = ROOT / "slurm/run.sbatch", ROOT / "slurm/sweep.sbatch"
LONG = [*SMALL, "--train.updates=2000", "--train.checkpoint_every=0", "--exact.count=20"]  # some seconds on one core


def log(folder, job):
    file = folder / f"job-{job}.log"
    return file.read_text() if file.exists() else ""


def n_updates(output):
    file = output / "metrics.jsonl"
    return sum("loss" in line for line in file.read_text().splitlines()) if file.exists() else 0


def is_as_whole(folder, name, words):
    """The run ends in the bits of one that nobody stopped, on one rank and without Slurm."""
    whole = folder / "whole"
    if not whole.exists():
        succeed(0, "train", QUICKSTART, *words, f"--run.output={whole}")
    for what, read in {"sha256": parameters, "estimates": estimates, "metrics": metrics}.items():
        where = difference(read(folder / name), read(whole), what)
        expect(not where, f"{name}: differs from an uninterrupted run in {where}")


def ends(cluster, folder, job, state, code, restarts=None, says=()):
    got = cluster.finish(job)
    text = log(folder, job)
    expect(got == (state, code), f"job {job}: expected {state} with {code}, got {got}: {text[-2000:]}")
    if restarts is not None:
        n = int(cluster.field(job, "Restarts"))
        expect(n == restarts, f"job {job}: expected {restarts} restarts, got {n}: {text[-2000:]}")
    for words in says:
        expect(words in text, f"job {job}: expected {words!r} in its log: {text[-2000:]}")
    return text


def several_nodes(folder):
    """Two nodes with two ranks each, submitted from a folder that is not the project's; a log for each rank."""
    job = CLUSTER.submit("--nodes=2", "--ntasks-per-node=2", RUN, "train", QUICKSTART, *SMALL, "--run.output=out", cwd=folder,
                         TWISTOR_RANK_LOGS=f"{folder}/logs")
    ends(CLUSTER, folder, job, "COMPLETED", 0, 0, ["4 tasks on n[1-2], restart 0"])
    names = sorted(file.name for file in (folder / "logs").glob("*"))
    expect(names == [f"job-{job}-rank-{rank}.log" for rank in range(4)], f"expected a log for each of 4 ranks, got {names}")
    is_as_whole(folder, "out", SMALL)
    for per_node in (1, 2):
        job = CLUSTER.submit("--nodes=2", f"--ntasks-per-node={per_node}", RUN, "train", QUICKSTART, *SMALL, "--model.load=broadcast",
                             f"--run.output=sent-{per_node}", cwd=folder)
        ends(CLUSTER, folder, job, "COMPLETED", 0, 0, ["MB of weights were read once and sent to the other nodes"])
        is_as_whole(folder, f"sent-{per_node}", SMALL)


def preemption(folder):
    """A job of higher priority takes the nodes in the middle of learning; a job that waits for the first runs after its end."""
    output = folder / "out"
    job = CLUSTER.submit("--nodes=2", "--ntasks-per-node=1", RUN, "train", QUICKSTART, *LONG, "--run.output=out", cwd=folder)
    after = CLUSTER.submit(f"--dependency=afterok:{job}", RUN, "evaluate", QUICKSTART, *LONG, "--run.output=out", cwd=folder)
    CLUSTER.wait(lambda: n_updates(output) >= 5, "updates")
    other = CLUSTER.submit("--partition=high", "--nodes=2", "--exclusive", "--wrap=sleep 1", cwd=folder)
    ends(CLUSTER, folder, job, "COMPLETED", 0, 1, ["restart 0", "the job goes back into the queue", "restart 1"])
    ends(CLUSTER, folder, other, "COMPLETED", 0)
    is_as_whole(folder, "out", LONG)
    ends(CLUSTER, folder, after, "COMPLETED", 0, 0)


def early_signals(folder):
    """USR1 in the first moments of a job, before there is a step or a handler: nothing is lost."""
    for i, launcher in enumerate(["srun", "srun", "mpirun"]):
        name = f"out{i}"
        job = CLUSTER.submit(RUN, "train", QUICKSTART, *LONG, f"--run.output={name}", cwd=folder, TWISTOR_LAUNCHER=launcher)
        CLUSTER.wait(lambda: CLUSTER.field(job, "JobState") == "RUNNING", "running job")
        if i:
            CLUSTER.wait(lambda: "restart 0" in log(folder, job), "first line")
        CLUSTER.call("scancel", "--signal=USR1", "--batch", job)
        sent = time.monotonic()
        ends(CLUSTER, folder, job, "COMPLETED", 0)
        # Slurm drops a signal for a batch script that it has not started yet, and a run may end before its ranks listen.
        if i and time.monotonic() - sent > 5:
            ends(CLUSTER, folder, job, "COMPLETED", 0, 1, ["the job goes back into the queue"])
        is_as_whole(folder, name, LONG)


def most_restarts(folder):
    output = folder / "out"
    job = CLUSTER.submit(RUN, "train", QUICKSTART, *LONG, "--run.output=out", cwd=folder, TWISTOR_MAX_RESTARTS="0")
    CLUSTER.wait(lambda: n_updates(output) >= 5, "updates")
    CLUSTER.call("scancel", "--signal=USR1", "--batch", job)
    ends(CLUSTER, folder, job, "FAILED", 75, 0, ["stopped after 0 restarts, with work left", "hint: "])
    again = CLUSTER.submit(RUN, "train", QUICKSTART, *LONG, "--run.output=out", cwd=folder)
    ends(CLUSTER, folder, again, "COMPLETED", 0, 0)
    is_as_whole(folder, "out", LONG)


def twistors():
    """Process ids of the ranks that run here."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(entry / "exe") == os.path.realpath(TWISTOR) and b"slurm" in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def crashed_step(folder):
    """A rank that is killed ends the step; with TWISTOR_RETRIES it starts again from its last checkpoint, else the job fails."""
    words = [word for word in LONG if not word.startswith("--train.checkpoint_every")] + ["--train.checkpoint_every=50"]
    for name, retries, verdict in [("again", "1", ("COMPLETED", 0)), ("once", "0", ("FAILED", 137))]:
        job = CLUSTER.submit(RUN, "train", QUICKSTART, *words, f"--run.output={name}", cwd=folder, TWISTOR_RETRIES=retries)
        CLUSTER.wait(lambda: n_updates(folder / name) >= 60, "updates")
        os.kill(twistors()[0], signal.SIGKILL)
        text = ends(CLUSTER, folder, job, *verdict, 0)
        said = "the step crashed (exit code 137); retry 1 of 1" in text
        expect(said == (retries == "1"), f"job {job}: expected word of a retry only where one is allowed: {text[-2000:]}")
    is_as_whole(folder, "again", LONG)


def arrays(folder):
    """An array that does not fit its seeds and configurations is refused, unless it is meant to be a part."""
    copy = folder / "other.cfg"
    shutil.copy(QUICKSTART, copy)
    words = [SWEEP, "2", QUICKSTART, "other.cfg", *SMALL, f"--model.path={ROOT}/models/tiny"]
    short = CLUSTER.submit("--array=0-1", *words, cwd=folder)
    ends(CLUSTER, folder, short, "FAILED", 64, says=["the array ends at task 1", "--array=0-3"])
    part = CLUSTER.submit("--array=2", *words, cwd=folder, TWISTOR_PARTIAL_ARRAY="1")
    ends(CLUSTER, folder, part, "COMPLETED", 0)
    expect((folder / "runs/sweep/other/seed-1/summary.json").exists(), "expected task 2 to be the second configuration's first seed")


with tempfile.TemporaryDirectory(prefix="slurm-", dir="/tmp") as place, Cluster(place) as CLUSTER:
    wanted = sys.argv[4:]
    main(*(check for check in [several_nodes, preemption, early_signals, most_restarts, crashed_step, arrays]
           if not wanted or check.__name__ in wanted))
