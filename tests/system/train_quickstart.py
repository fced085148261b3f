# SPDX-License-Identifier: Apache-2.0
"""The shipped configuration on two ranks: exit code, files, structure of summary.json, and bounds that close in on log Z."""
import json
import math
import re

from run_twistor import (EXACT_LOG_Z, QUICKSTART, SMALL, TINY, difference, estimates, expect, info, leftovers, main, metrics,
                         succeed)

ESTIMATES = {"log_z": ["sis_lower", "sis_upper", "smc_lower", "smc_upper"], "kl": ["q_sigma", "sigma_q", "symmetrised"]}


def no_nan(value, path="summary"):
    """Every number is finite, an infinity as a string, or null."""
    if isinstance(value, dict):
        for key, inner in value.items():
            no_nan(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for inner in value:
            no_nan(inner, path)
    else:
        expect(value == value and value != "nan", f"{path} is NaN")


def check_structure(summary):
    no_nan(summary)
    for section, names in ESTIMATES.items():
        for name in names:
            estimate = summary[section][name]
            is_exact = section == "kl"  # of an enumerated target
            keys = ["mean", "n", "se"] + (["note"] if is_exact else []) + (["high", "low"] if name in ["q_sigma", "sigma_q"] else [])
            expect(sorted(estimate) == sorted(keys) and estimate["n"] > 1 and (estimate["se"] == 0) == is_exact,
                   f"expected {keys} in {section}.{name}, got {estimate}")
    z = summary["log_z"]["estimate"]
    expect(z["method"] == "exact" and z["value"] == z["low"] == z["high"] == summary["log_z"]["exact"] and z["se"] == 0,
           f"expected the exact log Z, got {z}")
    expect(summary["before"]["log_z"]["estimate"] == z, "expected one log Z for all columns")
    expect(summary["log_z"]["certified"]["low"] < z["value"] < summary["log_z"]["certified"]["high"],
           f"expected certified bounds around log Z, got {summary['log_z']['certified']}")
    expect(summary["log_z"]["genealogical_variance"] is None, "expected no genealogical variance of stratified resampling")
    expect(summary["log_q_error"] == {"largest": 0, "mean": 0}, f"expected log q to be what it was, got {summary['log_q_error']}")
    expect(summary["probability"] is None, "expected no probability where phi is not 0 or 1")
    n = len(summary["ess"]["per_step"])
    expect(len(summary["genealogy"]["unique_ancestors"]) == n and 1 <= summary["genealogy"]["founders"] <= 64,
           f"expected the genealogy by steps, got {summary['genealogy']}")
    for key in ["config", "counters", "versions", "before"]:
        expect(isinstance(summary[key], dict) and summary[key], f"expected an object '{key}' in summary.json")
    expect(summary["ranks"] == 2, f"expected ranks 2, got {summary['ranks']}")
    expect(summary["config"]["smc"]["particles"] == 64, f"expected the whole configuration, got {summary['config']}")
    expect(summary["versions"].get("twistor"), f"expected twistor's version, got {summary['versions']}")
    expect(summary["counters"].get("token_forwards", 0) > 0, f"expected counters, got {summary['counters']}")


def check_bounds(summary):
    """At 20 repeats with the shipped seed; 5 standard errors + 0.02 are far outside chance and far inside a wrong Z."""
    after, before = summary["log_z"], summary["before"]["log_z"]
    expect(abs(after["exact"] - EXACT_LOG_Z) < 1e-5, f"expected log Z = {EXACT_LOG_Z}, got {after['exact']}")
    for name in ESTIMATES["log_z"]:
        distance = abs(after[name]["mean"] - EXACT_LOG_Z)
        expect(distance < 5 * after[name]["se"] + 0.02 and distance < 0.15, f"expected {name} near log Z, got {after[name]}")
    for kind in ["sis", "smc"]:
        gaps = [z[f"{kind}_upper"]["mean"] - z[f"{kind}_lower"]["mean"] for z in (before, after)]
        expect(gaps[0] > 3 and abs(gaps[1]) < gaps[0] / 20, f"expected the {kind} gap to close, got {gaps[0]} and {gaps[1]}")
    expect(before["smc_lower"]["mean"] < EXACT_LOG_Z < before["smc_upper"]["mean"], f"expected bounds before learning, got {before}")
    kls = [s["kl"]["symmetrised"]["mean"] for s in (summary["before"], summary)]
    expect(kls[1] < kls[0] / 20, f"expected the divergence to fall, got {kls[0]} and {kls[1]}")


def quickstart(folder):
    done = succeed(2, "train", QUICKSTART, f"--run.output={folder}", limit_s=120)
    summary = json.loads((folder / "summary.json").read_text())
    n = summary["config"]["train"]["updates"]
    for row in ["log Z, exact", "SMC lower bound", "SMC upper bound", "SIS lower bound", "SIS upper bound", "KL(q || sigma)",
                "KL(sigma || q)", "ESS", "seconds", "base model", f"after {n} updates", str(folder), "-6.41535"]:
        expect(row in done.out, f"expected '{row}' in the table, got {done.out}")
    check_structure(summary)
    check_bounds(summary)
    expect("before learning" not in done.out and summary["base"] == summary["before"],
           "expected learning from psi = 1 to begin with the base model")
    updates = [line["update"] for line in metrics(folder) if "event" not in line]
    expect(updates == list(range(1, n + 1)), f"expected one line an update in metrics.jsonl, got {updates}")
    expect(not leftovers(folder), f"expected no temporary files, got {leftovers(folder)}")
    for name, words in {"checkpoint.h5": ["checkpoint", f"after {n} updates", "parameters sha256: "],
                        "results.h5": ["results", "after.log_z.smc_lower.mean"],
                        "exact.h5": [f"{summary['config']['exact']['count']} exact samples", "exact log Z: -6.41535"]}.items():
        text = info(folder / name)
        expect(all(word in text for word in words), f"expected {words} from info on {name}, got {text[:1000]}")
    first_line = (folder / "config.cfg").read_text(encoding="utf-8").splitlines()[0]
    expect(re.fullmatch(r"# The configuration of a run of twistor \S+ \([0-9a-z-]+\)\.", first_line), f"expected the commit, got {first_line!r}")
    expect("48 tokens" in info(TINY), "expected info to describe models/tiny")


def forbidden(folder):
    """The event itself, without a floor: populations vanish, -inf is a value, and nothing is made of infinities.
    P(event) = exp(log Z) is 0.00163 by enumeration of the target with the floor of 1e-6."""
    done = succeed(1, "train", QUICKSTART, "--target.log_floor=-inf", "--exact.source=rejection", "--exact.count=150",
                   "--train.positives=exact", "--train.updates=2", "--evaluate.repeats=10", "--evaluate.samples=200",
                   "--smc.particles=8", "--run.progress=false", f"--run.output={folder}")
    summary = json.loads((folder / "summary.json").read_text())
    no_nan(summary)
    event = 0.00163
    z, p = summary["log_z"]["estimate"], summary["probability"]
    expect(z["method"] == "rejection" and abs(z["value"] - math.log(event)) < 5 * z["se"] < 1, f"expected rejection's log Z, got {z}")
    for e in [summary, summary["base"]]:
        expect(e["log_z"]["estimate"] == z, "expected one log Z for all columns")
        expect(e["kl"]["q_sigma"]["mean"] == "inf", f"expected KL(q || sigma) = inf, got {e['kl']}")
    # log q is log p0 before learning, so that KL(sigma || q) = -log P(event), 6.4.
    kl = summary["base"]["kl"]["sigma_q"]
    expect(abs(kl["mean"] + math.log(event)) < 5 * kl["se"] + 1e-3, f"expected KL(sigma || p0) = 6.4, got {kl}")
    expect(p["method"] == "rejection" and p["low"] < event < p["high"], f"expected the probability by rejection, got {p}")
    expect("P(event) = 0.00" in done.out and "95 % interval" in done.out and "nan" not in done.out, f"expected it in words, got {done.out}")
    text = (folder / "metrics.jsonl").read_text() + info(folder / "results.h5")
    expect("nan" not in text.lower().replace("finance", ""), "expected no NaN in metrics.jsonl and results.h5")


def base_model(folder):
    """Where learning starts elsewhere, the base model has a column of its own; `evaluate` finds the same numbers for it."""
    keys = [QUICKSTART, *SMALL, "--twist.init_scale=1", f"--run.output={folder}"]
    done = succeed(2, "train", *keys)
    expect(all(word in done.out for word in ["base model", "before learning", "after 6 updates"]), f"expected three columns, got {done.out}")
    seen = [estimates(folder)]
    expect(seen[0]["base"] != seen[0]["before"], "expected a random twist to differ from the base model")
    succeed(1, "evaluate", *keys)
    seen.append(estimates(folder))
    where = difference(seen[0]["base"], seen[1]["base"])
    expect(not where, f"evaluate and train differ about the base model in {where}")
    done = succeed(1, "evaluate", *keys, "--evaluate.base=false")
    expect("base model" not in done.out and "base" not in estimates(folder), f"expected no base model, got {done.out}")


main(quickstart, forbidden, base_model)
