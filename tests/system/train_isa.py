# SPDX-License-Identifier: Apache-2.0
"""Whole runs in float32 give the same bits on every instruction set that this processor has; wrong sets are refused."""
import os
import pathlib
import re
import sys

from run_twistor import QUICKSTART, SMALL, difference, estimates, expect, main, metrics, parameters, run, succeed

NEEDS = {  # set: flags of /proc/cpuinfo
    "avx2": {"avx2", "fma"},
    "avx512": {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
    "avx512_bf16": {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx512_bf16"},
    "amx_bf16": {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx512_bf16", "amx_tile", "amx_bf16"}}
FLAGS = set(re.search(r"^flags\s*:(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)[1].split())
sets = [isa for isa, flags in NEEDS.items() if flags <= FLAGS]


def same_bits(folder):
    results = {}
    for isa in sets:
        os.environ["TWISTOR_ISA"] = isa
        output = folder / isa
        succeed(2, "train", QUICKSTART, *SMALL, "--train.positives=both", f"--run.output={output}")
        results[isa] = {"sha256": parameters(output), "estimates": estimates(output), "metrics": metrics(output)}
    for isa in sets[1:]:
        for what, value in results[isa].items():
            where = difference(value, results[sets[0]][what], what)
            expect(not where, f"{isa} differs from {sets[0]} in {where}")


def refuses(folder):
    os.environ["TWISTOR_ISA"] = "sse9"
    done = run(2, "train", QUICKSTART, *SMALL, f"--run.output={folder}/x")
    expect(done.code == 78 and "TWISTOR_ISA=sse9 is not known (expected avx2" in done.err, f"expected a refusal; got {done}")


def says_which(folder):
    os.environ["TWISTOR_ISA"] = "avx2"
    done = succeed(1, "train", QUICKSTART, *SMALL, "--train.updates=0", f"--run.output={folder}/x")
    expect("instruction set: avx2" in done.err + done.out, f"expected the set's name in the log; got {done}")


if len(sets) < 2:
    print(f"only {sets} here: nothing to compare")
    sys.exit(77)
main(refuses, says_which, same_bits)
