# SPDX-License-Identifier: Apache-2.0
"""What docs/file-formats.md tells users of Python to write reads a run's files, and finds in them what we find.

Exits 77, which is a skipped test, where h5py and pandas are not installed and cannot be. The snippet for `datasets` and the check of
written models by transformers run where this Python has these packages.
"""
import json
import pathlib
import re
import subprocess
import sys

from python_packages import can_import, python_with
from report_page import arrays
from run_twistor import QUICKSTART, ROOT, SMALL, TWISTOR, expect, main, succeed

PYTHON = python_with("python-readers", ["h5py", "pandas"], ["h5py", "pandas"])
if PYTHON is None:
    print("skipped: there are no packages h5py and pandas")
    sys.exit(77)
SNIPPETS = re.findall(r"```python\n(.*?)```", (ROOT / "docs/file-formats.md").read_text(), re.DOTALL)


def python(folder, text):
    """What a program prints, as JSON."""
    done = subprocess.run([str(PYTHON), "-c", text], cwd=folder, capture_output=True, text=True, timeout=200, check=False)
    expect(done.returncode == 0, f"expected the snippet to work, got {done.stderr[-1500:]}")
    return json.loads(done.stdout.splitlines()[-1])  # datasets tells what it does, too


def pandas_reads_a_run(folder):
    run = folder / "runs/quickstart"
    keys = [*SMALL, "--train.epochs=2", f"--run.output={run}"]
    succeed(2, "train", QUICKSTART, *keys)
    succeed(1, "sample", QUICKSTART, *keys, "--sample.count=5")
    said = python(folder, SNIPPETS[0] + """
print(json.dumps({"log_z": summary["log_z"]["estimate"]["value"], "losses": list(metrics["loss"].dropna()), "texts": list(samples["text"]),
                  "lower": list(bounds["smc_lower"]), "twist": {name: list(array.shape) for name, array in twist.items()},
                  "exact": list(exact["tokens"][:].shape), "exact_log_z": float(exact.attrs["log_z"])}))
""")
    summary = json.loads((run / "summary.json").read_text())
    lines = {name: [json.loads(line) for line in (run / name).read_text().splitlines()] for name in ("metrics.jsonl", "samples.jsonl")}
    stored = arrays(run / "results.h5")
    expect(said["log_z"] == summary["log_z"]["estimate"]["value"] == said["exact_log_z"], f"expected log Z, got {said['log_z']}")
    losses = [line["loss"] for line in lines["metrics.jsonl"] if "loss" in line]
    expect(len(losses) > 1 and all(abs(a - b) <= 1e-12 * abs(b) for a, b in zip(said["losses"], losses, strict=True)), f"expected {losses}")
    expect(said["texts"] == [line["text"] for line in lines["samples.jsonl"]] and len(said["texts"]) == 5, f"expected texts, got {said['texts']}")
    expect(said["lower"] == stored["after/smc_lower"], "expected the bounds by repeat")
    expect(said["twist"] and all(said["twist"].values()), f"expected parameters, got {said['twist']}")
    expect(said["exact"][1] == 4 and said["exact"][0] > 1, f"expected exact samples of four tokens, got {said['exact']}")


def datasets_reads_samples(folder):
    if not can_import(PYTHON, ["datasets"]):
        print("left out: there is no package datasets")
        return
    run = folder / "runs/keywords"
    keys = [ROOT / "configs/keywords.cfg", *SMALL, "--train.updates=2", f"--run.output={run}"]
    succeed(1, "train", *keys)
    succeed(1, "sample", *keys, "--sample.count=6")
    said = python(folder, SNIPPETS[1] + """
import json
print(json.dumps([samples.column_names, list(samples["text"]), list(samples["weight"])]))
""")
    lines = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    expect(set(said[0]) == set(lines[0]), f"expected the columns {set(lines[0])}, got {said[0]}")
    expect(said[1] == [line["text"] for line in lines] and said[2] == [line["weight"] for line in lines], f"expected the samples, got {said}")


def transformers_reads_a_model(folder):
    if not can_import(sys.executable, ["torch", "transformers"]):
        print("left out: there are no packages torch and transformers")
        return
    run = folder / "run"
    succeed(1, "train", QUICKSTART, *SMALL, "--train.epochs=1", "--twist.form=ratio", "--train.objective=ratio", "--twist.body=copy",
            "--train.positives=exact", f"--run.output={run}")
    check = ROOT / "tests/golden/check_model_folder.py"
    done = subprocess.run([sys.executable, str(check), str(TWISTOR), str(run / "model")], capture_output=True, text=True, timeout=250, check=False)
    expect(done.returncode == 0, f"expected transformers to agree, got {done.stdout[-1000:]}{done.stderr[-1000:]}")


if __name__ == "__main__":
    main(pandas_reads_a_run, datasets_reads_samples, transformers_reads_a_model)
