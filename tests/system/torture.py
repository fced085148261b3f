# SPDX-License-Identifier: Apache-2.0
"""Ranks of every kind of work are killed at random moments: learning, evaluation, sampling, exact samples by rejection, evaluation and
draws over many prompts. The run that is left to end in the same folder ends in the bits of an uninterrupted one.

TWISTOR_KILLS says how often (default 6, one for each kind). The moments have a fixed seed.
"""
import json
import os
import random
import shutil
import time

from run_twistor import (QUICKSTART, ROOT, SMALL, estimates, expect, expect_same, expect_whole_files, failures, info, kill_one, leftovers,
                         main, metrics, parameters, start, succeed)

N_KILLS = int(os.environ.get("TWISTOR_KILLS", "6"))
RANKS = 2
# What is done is saved after each piece, so that the run after a kill has something to go on from.
OFTEN = "--run.save_every_s=0.05"
TRAINED = [*SMALL, "--train.updates=40", "--train.checkpoint_every=1"]
PROMPTS = [str(ROOT / "configs/prompts.cfg"), "--smc.particles=64", "--exact.count=8", "--exact.budget=4000", "--run.progress=false", OFTEN]


def bytes_of(*names):
    return lambda folder: [(folder / name).read_bytes().decode() for name in names]


class Work:
    """One kind: the command, what a fresh folder has before it, what of its results is compared, and the file of unfinished work."""

    def __init__(self, name, words, unfinished, given=(), **readers):
        self.name, self.words, self.unfinished, self.given, self.readers = name, words, unfinished, given, readers
        self.seconds = 0.0

    def prepare(self, output, source):
        output.mkdir()
        for name in self.given:
            shutil.copy(source / name, output)

    def command(self, output):
        return [*self.words, f"--run.output={output}"]


def kinds(folder):
    many = folder / "many.jsonl"
    text = "once upon a time there was a kind fox . one day the fox met a hen ."
    many.write_text("".join(json.dumps({"id": f"p{i}", "prompt": text, "length": 4}) + "\n" for i in range(24)))
    prompts = [*PROMPTS, f"--prompt.file={many}"]
    twist = ["checkpoint.h5", "exact.h5"]
    return [
        Work("learning", ["train", QUICKSTART, *TRAINED], "checkpoint.h5", ["exact.h5"], sha256=parameters, estimates=estimates, metrics=metrics),
        Work("evaluation", ["evaluate", QUICKSTART, *TRAINED, OFTEN, "--evaluate.repeats=200", "--evaluate.base=false"], "evaluation.partial.h5", twist, estimates=estimates),
        Work("sampling", ["sample", QUICKSTART, *TRAINED, OFTEN, "--sample.count=12000", "--sample.from=population"], "samples.partial.h5", twist,
             samples=bytes_of("samples.jsonl")),
        Work("rejection", ["train", QUICKSTART, *SMALL, OFTEN, "--exact.source=rejection", "--exact.count=100", "--train.updates=1",
                           "--train.evaluate=false"], "exact.partial.h5", sha256=parameters, exact=lambda f: info(f / "exact.h5")),
        Work("prompts", ["evaluate", *prompts, "--evaluate.repeats=20", "--evaluate.samples=40"], "prompts.partial.h5", estimates=estimates,
             rows=bytes_of("prompts.jsonl", "prompts.csv")),
        Work("draws over prompts", ["sample", *prompts, "--sample.count=150", "--target.log_floor=-3"], "samples.partial.h5",
             samples=bytes_of("samples.jsonl")),
    ]


def tortured(work, trained, folder, n_kills, chance):
    """Kills jobs of that kind, each up to three times. How many of them had left something to go on from."""
    n, jobs, n_kept = 0, 0, 0
    while n < n_kills and not failures:
        expect(jobs < 4 * n_kills + 4, f"{work.name}: expected runs of {work.seconds:.1f} s to be hit more often, {n} kills in {jobs} jobs")
        output = folder / f"{work.name} {jobs}"
        jobs += 1
        work.prepare(output, trained)
        words = work.command(output)
        for _ in range(min(3, n_kills - n)):
            process = start(RANKS, *words)
            time.sleep(chance.uniform(0.3, 0.95) * work.seconds)
            done = kill_one(process, chance)
            if done is None:
                break
            n += 1
            n_kept += (output / work.unfinished).exists()
            expect_whole_files(done)
        expect_whole_files(succeed(RANKS, *words))
        expect_same(output, folder / work.name, f"{work.name}, job {jobs} after {n} kills", **work.readers)
        expect(not leftovers(output), f"{work.name}: expected no temporary files of killed runs, got {leftovers(output)}")
        shutil.rmtree(output)
    print(f"{work.name}: {n} kills in {jobs} jobs, {n_kept} left something to go on from; a whole run takes {work.seconds:.1f} s", flush=True)
    return n_kept


def every_kind_of_work(folder):
    trained = folder / "trained"
    succeed(RANKS, "train", QUICKSTART, *TRAINED, f"--run.output={trained}")
    chance = random.Random(1)
    n_kept = 0
    all_kinds = kinds(folder)
    for i, work in enumerate(all_kinds):
        whole = folder / work.name
        work.prepare(whole, trained)
        work.seconds = succeed(RANKS, *work.command(whole)).seconds
        n_kept += tortured(work, trained, folder, N_KILLS * (i + 1) // len(all_kinds) - N_KILLS * i // len(all_kinds), chance)
    # Of few kills all may hit the first moments.
    expect(N_KILLS < 50 or n_kept > N_KILLS // 4, f"expected many kills to leave something to go on from, got {n_kept} of {N_KILLS}")


main(every_kind_of_work)
