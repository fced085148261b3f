"""The shipped configuration on two ranks: exit code, files, structure of summary.json, and bounds that close in on log Z."""
import json

from run_twistor import (EXACT_LOG_Z, QUICKSTART, SMALL, TINY, difference, estimates, expect, info, leftovers, main, metrics,
                         succeed)

ESTIMATES = {"log_z": ["sis_lower", "sis_upper", "smc_lower", "smc_upper"], "kl": ["q_sigma", "sigma_q", "symmetrised"]}


def check_structure(summary):
    for section, names in ESTIMATES.items():
        for name in names:
            estimate = summary[section][name]
            expect(sorted(estimate) == ["mean", "n", "se"] and estimate["n"] > 1 and estimate["se"] > 0,
                   f"expected mean, se, n in {section}.{name}, got {estimate}")
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
    expect("48 tokens" in info(TINY), "expected info to describe models/tiny")


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


main(quickstart, base_model)
