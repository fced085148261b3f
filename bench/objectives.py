#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Seconds and memory of an update with each objective, beside those of ctl in the same round.

usage: objectives.py CONFIG [OBJECTIVE,OBJECTIVE,...] [ROUNDS] [--section.key=value ...]

`twistor train CONFIG` runs for a few updates with each objective in turn, ROUNDS (3) times. Seconds are the median over
all updates but the first of each run, the peak is the resident set of the largest run without its evaluations. ratio
runs with twist.form = ratio and low-rank additions, and so does the ctl that it is compared with: lora/ctl.
TWISTOR names the program (default: build/release/twistor), TWISTOR_UPDATES the updates of a run (6).
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ALL = "ctl,rl,sixo,fudge,dpg,ppo,lora/ctl,lora/dpg,ratio"
ROOT = pathlib.Path(__file__).resolve().parent.parent


def run(config, objective, keys):
    """Seconds of each update but the first, and peak megabytes."""
    name = objective.split("/")[-1]
    body = ["--twist.body=lora"] if name != objective or name == "ratio" else []
    form = ["--twist.form=ratio"] if name == "ratio" else []
    with tempfile.TemporaryDirectory() as folder:
        words = [os.environ.get("TWISTOR", str(ROOT / "build/release/twistor")), "train", config, f"--train.objective={name}",
                 f"--train.updates={os.environ.get('TWISTOR_UPDATES', '6')}", "--train.evaluate=false", "--evaluate.base=false",
                 "--evaluate.repeats=1", "--evaluate.samples=1", "--evaluate.enumerate_q=false", "--run.progress=false",
                 f"--run.output={folder}", *body, *form, *keys]
        with open(f"{folder}.log", "w", encoding="utf-8") as log:
            process = subprocess.Popen(words, stdout=log, stderr=log)
        _, status, used = os.wait4(process.pid, 0)
        text = pathlib.Path(f"{folder}.log").read_text(encoding="utf-8")
        os.unlink(f"{folder}.log")
        if status != 0:
            sys.exit(f"{' '.join(words)} failed:\n{text}")
        lines = [json.loads(line) for line in (pathlib.Path(folder) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line["seconds"] for line in lines if "loss" in line][1:], used.ru_maxrss / 1024


def main():
    words = sys.argv[1:]
    keys = [word for word in words if word.startswith("--")]
    words = [word for word in words if not word.startswith("--")]
    if not words:
        print(__doc__)
        sys.exit(64)
    objectives = (words[1] if len(words) > 1 else ALL).split(",")
    rounds = int(words[2]) if len(words) > 2 else 3
    seconds, peak = {name: [] for name in objectives}, {name: [] for name in objectives}
    for _ in range(rounds):
        for name in objectives:
            found, megabytes = run(words[0], name, keys)
            seconds[name].append(statistics.median(found))
            peak[name].append(megabytes)
    print("| objective | update, s | of ctl's | peak resident set, MB |\n|---|---|---|---|")
    for name in objectives:
        reference = "lora/ctl" if name.startswith("lora/") or name == "ratio" else "ctl"
        ratios = [a / b for a, b in zip(seconds[name], seconds.get(reference, seconds[name]))]
        print(f"| {name} | {statistics.median(seconds[name]):.3g} | {statistics.median(ratios):.2f} | {max(peak[name]):.0f} |")


main()
