# SPDX-License-Identifier: Apache-2.0
"""What a cluster does to a run besides killing it: a disk that fills up, folders that become read-only, quotas and limits on file sizes,
file systems without locks, a rank that sees old files, clocks that differ, a potential that hangs, a rank that is stopped for a while.
Each ends in one clear message, or does not show; the run that goes on ends in the bits of an undisturbed one.

Faults that no user may cause are played by fault_shim.c, which is compiled here. A small disk needs root, and is left out without it.
TWISTOR_LONG=1 plays some more, and stops a rank for a minute in place of a second.
"""
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import time

from run_twistor import (QUICKSTART, ROOT, SMALL, cut_short, estimates, expect, expect_same, finish, info, leftovers, main, metrics,
                         n_updates, parameters, ranks_of, run, start, succeed, wait_until)

LONG = os.environ.get("TWISTOR_LONG") == "1"
UPDATES = 40
KEYS = [*SMALL, f"--train.updates={UPDATES}", "--train.checkpoint_every=1"]
READERS = {"sha256": parameters, "estimates": estimates, "metrics": metrics}


class Case:
    """A folder of runs of one training, and the undisturbed one."""

    def __init__(self, folder):
        self.folder, self.whole, self.shim = folder, folder / "whole", folder / "shim.so"
        subprocess.run(["cc", "-std=gnu11", "-O1", "-shared", "-fPIC", "-o", self.shim, ROOT / "tests/system/fault_shim.c", "-ldl"], check=True)
        succeed(2, *self.words(self.whole))

    def words(self, output):
        return ["train", QUICKSTART, *KEYS, f"--run.output={output}"]

    def fresh(self, name):
        """A new folder that has its exact samples already."""
        output = self.folder / name
        output.mkdir()
        shutil.copy(self.whole / "exact.h5", output)
        return output

    def fault(self, kind, **more):
        """The environment of a run that has it."""
        return {"LD_PRELOAD": str(self.shim), "FAULT": kind, **{f"FAULT_{key.upper()}": str(value) for key, value in more.items()}}

    def goes_on(self, output, what, environment=None):
        done = succeed(2, *self.words(output), environment=environment)
        expect_same(output, self.whole, what, **READERS)
        expect(not leftovers(output), f"{what}: expected no temporary files, got {leftovers(output)}")
        return done

    def disturbed(self, output, what, disturb, code, words, environment=None):
        """Disturbs a run amid learning: it ends soon with that code, one message and whole files."""
        process = start(2, *self.words(output), environment=environment)
        expect(wait_until(lambda: n_updates(output) >= 10 or process.poll() is not None), f"{what}: expected updates")
        disturb(process)
        done = finish(process, limit_s=20)
        expect(done.code == code and done.err.count("hint: ") == 1 and all(word in done.err for word in words),
               f"{what}: expected one message with {words} and exit code {code}, got {done}")
        updates = n_updates(output)
        expect(10 <= updates < UPDATES, f"{what}: expected a run that was disturbed amid learning, got {updates} updates")
        expect("a twist after" in info(output / "checkpoint.h5"), f"{what}: expected a whole checkpoint")
        return done


def limits(case):
    """A quota that is used up, a folder that becomes read-only, and a limit on the size of files."""
    kinds = {"quota": ["Disk quota exceeded", "make room"], "read_only": ["Read-only file system", "who may write"]}
    for kind, words in kinds.items() if LONG else [("quota", kinds["quota"])]:
        output = case.fresh(kind)
        switch = case.folder / f"{kind}.begins"
        case.disturbed(output, kind, lambda _, switch=switch: switch.touch(), 74, words,
                       case.fault(kind, folder=output, switch=switch))
        case.goes_on(output, kind)
    output = case.fresh("size")

    def limit(process):
        for pid in ranks_of(process):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, 4096))

    case.disturbed(output, "limit on file sizes", limit, 74, ["File too large", "ulimit -f"])
    case.goes_on(output, "limit on file sizes")


def small_disk(case):
    """It fills up amid learning; then it is remounted read-only, and has room again."""
    disk = case.folder / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], capture_output=True).returncode != 0:
        print("no small disk: only root can mount one")
        return
    try:
        output = disk / "run"
        output.mkdir()
        shutil.copy(case.whole / "exact.h5", output)

        def fill(process):
            with open(disk / "others", "wb", buffering=0) as file:
                while process.poll() is None:
                    try:
                        file.write(bytes(1 << 12))
                    except OSError:
                        time.sleep(0.001)

        case.disturbed(output, "full disk", fill, 74, ["No space left on device", "make room"])
        (disk / "others").unlink()
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        before = sorted(f.name for f in output.iterdir())
        done = run(2, *case.words(output))
        expect(done.code == 74 and "Read-only file system" in done.err and done.err.count("hint: ") == 1, f"read-only: expected a refusal, got {done}")
        expect(sorted(f.name for f in output.iterdir()) == before, "read-only: expected the same files")
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        case.goes_on(output, "full disk")
    finally:
        subprocess.run(["umount", disk], check=True)


def locks_and_clocks(case):
    output = case.fresh("locks")
    done = case.goes_on(output, "no locks", case.fault("locks"))
    expect(done.err.count("cannot be locked") == 1, f"expected one warning, got {done}")
    case.goes_on(case.fresh("clock"), "a clock three days behind", case.fault("clock", rank=1))


def old_files(case):
    """A rank that is shown the checkpoint of a moment ago, and one that is shown another configuration, list of prompts or model."""
    for rank in (0, 1) if LONG else (1,):
        output, old = case.fresh(f"stale-{rank}"), case.folder / f"old-{rank}"
        old.mkdir()
        for least in (5, 20):
            done = cut_short(2, lambda least=least: n_updates(output) >= least, *case.words(output))
            expect(done.code == 75, f"expected an interruption, got {done}")
            if least == 5:
                shutil.copy(output / "checkpoint.h5", old)
        done = case.goes_on(output, f"an old checkpoint on rank {rank}", case.fault("stale", rank=rank, folder=output, old=old))
        updates = int(done.err.split("resuming after update ")[1].split()[0])
        expect((updates < 20) == (rank == 0), f"expected rank 0 alone to say what there is, rank {rank} resumed after {updates}")
    shown, old = case.folder / "shown", case.folder / "old"
    shown.mkdir()
    old.mkdir()
    text = (ROOT / "configs/quickstart.cfg").read_text().replace("models/tiny", str(ROOT / "models/tiny"))
    prompts = [{"id": "a", "prompt": "the fox", "length": 3}, {"id": "b", "prompt": "the hen", "length": 3}]
    for folder, length in ((shown, "4"), (old, "3")):
        (folder / "job.cfg").write_text(text.replace("length = 4", f"length = {length}"))
        (folder / "list.jsonl").write_text("".join(json.dumps({**p, "length": int(length)}) + "\n" for p in prompts))
    keys = [*SMALL, "--train.updates=2", f"--run.output={case.folder}/refused"]
    stale = case.fault("stale", rank=1, folder=shown, old=old)
    for words, what in ((["train", shown / "job.cfg"], "configuration"),
                        (["evaluate", QUICKSTART, "--prompt.text=", f"--prompt.file={shown}/list.jsonl", "--smc.proposal=base"], "prompt")):
        done = run(2, *words, *keys, limit_s=20, environment=stale)
        expect(done.code == 65 and f"rank 1 has read another {what} than rank 0" in done.err and done.err.count("hint: ") >= 1,
               f"expected old files on rank 1 to be named, got {done}")
    tiny = ROOT / "models/tiny"
    for folder, layers in ((case.folder / "model", 2), (case.folder / "old-model", 1)):
        shutil.copytree(tiny, folder)
        config = (tiny / "config.json").read_text()
        (folder / "config.json").write_text(config.replace('"n_layer": 2', f'"n_layer": {layers}'))
    done = run(2, "train", QUICKSTART, f"--model.path={case.folder}/model", *keys, limit_s=20,
               environment=case.fault("stale", rank=1, folder=case.folder / "model", old=case.folder / "old-model"))
    expect(done.code == 65 and "some ranks want" in done.err and "the ranks see different versions of a file" in done.err,
           f"expected a model of another size on rank 1 to be refused, got {done}")
    expect(not any((case.folder / "refused").glob("*.h5")), "expected nothing of runs that were refused")


def hung_potential(case):
    """A program that answers no more ends the run after target.timeout_s; once it is mended, the run goes on."""
    hang = case.folder / "hang"
    program = case.folder / "reward.py"
    program.write_text("import json, os, sys, time\n"
                       "for line in sys.stdin:\n"
                       f"    if os.path.exists({str(hang)!r}):\n"
                       "        time.sleep(1000)\n"
                       "    print(-0.5 * json.loads(line)['text'].count('the'), flush=True)\n")
    keys = ["train", QUICKSTART, *KEYS, "--target.potential=process", f"--target.command=python3 {program}", "--target.timeout_s=1", "--target.words=",
            "--target.log_floor=-inf", "--train.positives=weighted", "--exact.source=none", "--evaluate.samples=20", "--train.evaluate=false"]
    succeed(2, *keys, f"--run.output={case.folder}/asked")
    output = case.folder / "hung"
    words = [*keys, f"--run.output={output}"]
    process = start(2, *words)
    expect(wait_until(lambda: n_updates(output) >= 5), "expected updates")
    hang.touch()
    begin = time.monotonic()
    done = finish(process, limit_s=20)
    expect(done.code == 65 and "it said nothing for 1 s" in done.err, f"expected the silence to be named, got {done}")
    expect(time.monotonic() - begin < 8, f"expected the job to end soon after a second of silence, got {done}")
    hang.unlink()
    succeed(2, *words)
    expect_same(output, case.folder / "asked", "a potential that hung", **READERS)


def stopped_rank(case):
    """The others wait for it, whatever it takes."""
    chance = random.Random(2)
    output = case.fresh("stopped")
    process = start(2, *case.words(output))
    expect(wait_until(lambda: n_updates(output) >= 10), "expected updates")
    rank = chance.choice(ranks_of(process))
    os.kill(rank, signal.SIGSTOP)
    time.sleep(0.2)
    before = n_updates(output)
    time.sleep(60 if LONG else 1)
    expect(n_updates(output) == before < UPDATES and process.poll() is None, f"expected a run that waits, got {n_updates(output)} updates after {before}")
    os.kill(rank, signal.SIGCONT)
    done = finish(process)
    expect(done.code == 0, f"expected the run to go on, got {done}")
    expect_same(output, case.whole, "a rank that was stopped", **READERS)


def faults(folder):
    case = Case(folder)
    for check in (limits, small_disk, locks_and_clocks, old_files, hung_potential, stopped_rank):
        begin = time.monotonic()
        check(case)
        print(f"{check.__name__}: {time.monotonic() - begin:.1f} s", flush=True)


main(faults)
