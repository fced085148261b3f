# SPDX-License-Identifier: Apache-2.0
"""twistor scale: a forecast for many ranks, checked by as many, and what it refuses."""
import re

from run_twistor import QUICKSTART, SMALL, expect, main, run, succeed

ROW = re.compile(r"^ *(.+?)  +([\d.e+-]+) (s|ms|GB|MB)  ", re.MULTILINE)
UNITS = {"s": 1, "ms": 1e-3, "GB": 1e9, "MB": 1e6}


def rows(text):
    return {name: float(value) * UNITS[unit] for name, value, unit in ROW.findall(text)}


def forecasts_many_ranks(folder):
    """Its parts add up; what moves is counted for all ranks and not for those that are here."""
    keys = [*SMALL, f"--run.output={folder}/run", "--smc.particles=4096", "--smc.trigger=every_step", "--smc.resampling=multinomial", "--calibration_s=0.5"]
    found = {}
    for here in (1, 2):
        done = succeed(here, "scale", QUICKSTART, "--ranks=256", *keys)
        part = found[here] = rows(done.out)
        whole = sum(part[name] for name in ["forward passes, heads, phi", "resampling, on the first rank", "reductions and gathers", "particles that move"])
        expect(abs(part["one sweep"] - whole) < 0.02 * whole, f"expected parts that add up, got {part}")
        expect("256 ranks, one population of K = 4096 particles, 16 on a rank, T = 4" in done.out, f"expected the layout, got {done}")
        expect("train.shards = 8: the other 248 ranks wait" in done.out, f"expected words on idle ranks, got {done}")
        moves = re.search(r"What moves in a sweep: .*? at once", done.out, re.DOTALL)[0]
        copies = int(re.search(r"as (\d+) copies", moves)[1])
        expect(copies > 0 and "256 simulated ranks" in done.out, f"expected copies between ranks, got {moves}")
    expect(found[1]["particles that move"] > 0, "expected seconds for what moves")
    expect(rows(succeed(1, "scale", QUICKSTART, "--ranks=256", "--bandwidth_gb_s=1e-6", *keys).out)["particles that move"] >
           100 * found[1]["particles that move"], "expected a slow network to take longer")


def is_checked_here(folder):
    done = succeed(2, "scale", QUICKSTART, "--ranks=2", "--check", *SMALL, f"--run.output={folder}/run")
    measured = rows(done.out)
    expect({"check: one sweep", "check: one update"} <= set(measured), f"expected both checks, got {done}")
    expect(done.out.count("forecast / measured = ") == 2, f"expected two ratios, got {done}")


def refuses(folder):
    keys = [*SMALL, f"--run.output={folder}/run"]
    for words, message in [(["--ranks=3", "--check"], "mpirun -n 3"), (["--smc.proposal=policy", f"--policy.path=models/tiny"], "smc.proposal is policy")]:
        done = run(1, "scale", QUICKSTART, *keys, *words)
        expect(done.code == 78 and message in done.err, f"expected 78 with {message!r}, got {done}")
    expect(run(1, "scale", QUICKSTART, "--ranks=0").code == 64, "expected 64 for no ranks")
    computed = succeed(1, "scale", QUICKSTART, *keys, "--ranks=4", "--twist.form=automaton").out
    expect("No forecast of an update: the twist is computed" in computed, f"expected a reason, got {computed}")


if __name__ == "__main__":
    main(forecasts_many_ranks, is_checked_here, refuses)
