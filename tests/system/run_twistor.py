# SPDX-License-Identifier: Apache-2.0
"""What the tests of whole runs share: starting the real executable on ranks, reading what it wrote, counting failures.

Each test is called with TWISTOR ROOT MPIEXEC: the executable, the project's folder, mpirun.
"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

TWISTOR, ROOT, MPIEXEC = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
QUICKSTART = str(ROOT / "configs/quickstart.cfg")
TINY = ROOT / "models/tiny"
EXACT_LOG_Z = -6.41535546  # models/tiny/README.md: all 48^4 continuations of the quickstart's prompt

# A run of a second: the quickstart's target with few of everything.
SMALL = ["--train.updates=6", "--train.batch=24", "--train.positive_batch=16", "--train.checkpoint_every=1", "--smc.particles=16",
         "--evaluate.repeats=3", "--evaluate.samples=40", "--exact.count=60", "--evaluate.enumerate_q=false", "--run.progress=false"]

ENVIRONMENT = {"OMPI_MCA_mpi_yield_when_idle": "1", "OMP_NUM_THREADS": "1"}
for line in (ROOT / "launch/openmpi.env").read_text(encoding="utf-8").splitlines():
    if line.startswith("OMPI_"):
        name, value = line.split("=", 1)
        ENVIRONMENT[name] = value

failures = []


class Done:
    """A finished run: exit code, stdout, stderr, seconds."""

    def __init__(self, code, out, err, seconds):
        self.code, self.out, self.err, self.seconds = code, out, err, seconds

    def __str__(self):
        return f"exit code {self.code} after {self.seconds:.1f} s, stdout {self.out[-1500:]!r}, stderr {self.err[-1500:]!r}"


def expect(condition, what):
    if not condition:
        failures.append(what)
        print("FAILED:", what, flush=True)
    return bool(condition)


def command(ranks, words):
    """ranks = 0 starts the program without a launcher. Of two --key=value with one key the later counts."""
    launcher = [MPIEXEC, "-n", str(ranks)] if ranks else []
    kept = {}
    for word in map(str, words):
        kept[word.split("=")[0]] = word
    return [*launcher, TWISTOR, *kept.values()]


def start(ranks, *words, cwd="/tmp", environment=None):
    """A run in the background, in a process group of its own, with stdout and stderr in temporary files."""
    out, err = tempfile.TemporaryFile("w+"), tempfile.TemporaryFile("w+")
    process = subprocess.Popen(command(ranks, words), stdout=out, stderr=err, stdin=subprocess.DEVNULL, cwd=cwd,
                               env={**ENVIRONMENT, **os.environ, **(environment or {})}, start_new_session=True)
    process.files, process.begin = (out, err), time.monotonic()
    return process


def finish(process, limit_s=60):
    """Waits for the end of a run; one that hangs is killed and counted as a failure."""
    try:
        process.wait(limit_s)
    except subprocess.TimeoutExpired:
        expect(False, f"{process.args} did not end within {limit_s} s")
        for pid in [*ranks_of(process), process.pid]:
            os.kill(pid, signal.SIGKILL)
        process.wait()
    texts = []
    for file in process.files:
        file.seek(0)
        texts.append(file.read())
        file.close()
    return Done(process.returncode, *texts, time.monotonic() - process.begin)


def run(ranks, *words, limit_s=60, cwd="/tmp", environment=None):
    return finish(start(ranks, *words, cwd=cwd, environment=environment), limit_s)


def succeed(ranks, *words, limit_s=60, environment=None):
    done = run(ranks, *words, limit_s=limit_s, environment=environment)
    expect(done.code == 0, f"expected success of {' '.join(command(ranks, words))}; got {done}")
    return done


def ranks_of(process):
    """Process ids of a run's living ranks: processes of this executable below the launcher."""
    parents, names = {}, {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            names[int(entry.name)] = os.readlink(entry / "exe")
        except (OSError, IndexError):
            continue  # it ended meanwhile
    own = os.path.realpath(TWISTOR)

    def is_below(pid):
        while pid in parents and pid != process.pid:
            pid = parents[pid]
        return pid == process.pid

    return sorted(pid for pid, name in names.items() if name == own and is_below(pid))


def wait_until(condition, limit_s=30):
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.005)
    return False


def info(file):
    return succeed(0, "info", file).out


def parameters(folder):
    """The sha256 of the twist's parameters in a run's checkpoint."""
    lines = [line for line in info(pathlib.Path(folder) / "checkpoint.h5").splitlines() if "parameters sha256" in line]
    expect(len(lines) == 1, f"expected one line 'parameters sha256' from info on {folder}/checkpoint.h5")
    return lines[0].split()[-1] if lines else f"none in {folder}"


def without_time(value):
    """The same JSON without the numbers that may differ between two equal runs."""
    if isinstance(value, dict):
        return {k: without_time(v) for k, v in value.items() if not k.endswith("seconds")}
    return value


def estimates(folder):
    """All estimates in summary.json, numbers as they are printed."""
    summary = json.loads((pathlib.Path(folder) / "summary.json").read_text(), parse_float=str)
    return {key: without_time(summary[key]) for key in ["log_z", "kl", "proposal", "ess", "updates", "before", "base"] if key in summary}


def metrics(folder):
    """The lines of metrics.jsonl without times, numbers as they are printed."""
    lines = (pathlib.Path(folder) / "metrics.jsonl").read_text().splitlines()
    return [without_time(json.loads(line, parse_float=str)) for line in lines]


def difference(a, b, path=""):
    """Where two JSON values differ first, in words; empty if nowhere."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return next(filter(None, (difference(a[k], b[k], f"{path}.{k}") for k in a)), "")
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return next(filter(None, (difference(x, y, f"{path}[{i}]") for i, (x, y) in enumerate(zip(a, b)))), "")
    return "" if a == b else f"{path}: {str(a)[:300]} and {str(b)[:300]}"


def leftovers(folder):
    """Temporary files that a run left behind."""
    return [str(f) for f in pathlib.Path(folder).rglob("*") if ".tmp." in f.name]


def n_updates(folder):
    """Updates that a run has told of so far."""
    try:
        return (pathlib.Path(folder) / "metrics.jsonl").read_text().count("loss")
    except FileNotFoundError:
        return 0


def is_alive(pid):
    """Not gone, nor dead and waiting for a parent to take notice."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def kill_one(process, chance):
    """Kills a rank at random; all others and the launcher must end soon. None if the run was over before."""
    alive = ranks_of(process)
    if not alive or process.poll() is not None:
        done = finish(process)
        expect(done.code == 0, f"expected a run that was not killed to succeed, got {done}")
        return None
    try:
        os.kill(chance.choice(alive), signal.SIGKILL)
    except ProcessLookupError:
        finish(process)
        return None
    at = time.monotonic()
    done = finish(process, limit_s=20)
    seconds = time.monotonic() - at
    expect(seconds < 5, f"expected the job to end within 5 s of a rank's death, it took {seconds:.1f} s: {done}")
    expect(wait_until(lambda: not any(map(is_alive, alive)), limit_s=5 - seconds), f"expected no rank of {alive} to outlive the job")
    return done


def expect_whole_files(done):
    """The run that a kill left its files to found them whole: it neither refused nor fell back."""
    for word in ["going on with the generation before it", "begins anew", "hint: "]:
        expect(word not in done.err, f"expected whole files, got {done}")


def expect_same(folder, whole, what, **readers):
    """Each reader(folder) gives the same in both folders."""
    for name, read in readers.items():
        where = difference(read(folder), read(whole), name)
        expect(not where, f"{what}: differs from an undisturbed run in {where}")


def cut_short(ranks, until, *words):
    """Starts a run, ends each of its ranks by SIGTERM as soon as until() holds, and gives what became of it."""
    process = start(ranks, *words)
    wait_until(lambda: until() or process.poll() is not None)
    for pid in ranks_of(process):
        os.kill(pid, signal.SIGTERM)
    return finish(process)


def main(*checks):
    """Runs each check with a temporary folder of its own and leaves with the verdict."""
    for check in checks:
        begin = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="twistor_system_") as name:
            check(pathlib.Path(name))
        print(f"{check.__name__}: {time.monotonic() - begin:.1f} s", flush=True)
    print(f"{len(failures)} failures")
    sys.exit(1 if failures else 0)
