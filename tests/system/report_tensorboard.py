# SPDX-License-Identifier: Apache-2.0
"""run.tensorboard: the package tensorboard itself reads the events of a run that is interrupted and goes on, and finds all of metrics.jsonl.

Exits 77, which is a skipped test, where the package is not installed and cannot be.
"""
import json
import struct
import subprocess
import sys

from python_packages import python_with
from run_twistor import QUICKSTART, SMALL, estimates, expect, main, metrics, succeed

# What the package makes of a folder, as JSON.
READER = """
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from tensorboard.util import tensor_util
events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "histograms": 0, "tensors": 0})
events.Reload()
tags = events.Tags()
said = {"scalars": {tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in tags["scalars"]},
        "histograms": {tag: [[e.step, e.histogram_value.num, e.histogram_value.min, e.histogram_value.max, sum(e.histogram_value.bucket)]
                             for e in events.Histograms(tag)] for tag in tags["histograms"]},
        "texts": {tag: [[e.step, tensor_util.make_ndarray(e.tensor_proto).item().decode()] for e in events.Tensors(tag)]
                  for tag in tags["tensors"] if tag.endswith("texts")}}
plugin = events.PluginTagToContent("hparams")
start = metadata.parse_session_start_info_plugin_data(plugin[metadata.SESSION_START_INFO_TAG])
experiment = metadata.parse_experiment_plugin_data(plugin[metadata.EXPERIMENT_TAG])
end = metadata.parse_session_end_info_plugin_data(plugin[metadata.SESSION_END_INFO_TAG])
said["values"] = {key: getattr(value, value.WhichOneof("kind")) for key, value in start.hparams.items()}
said["infos"] = [info.name for info in experiment.hparam_infos]
said["metrics"] = [info.name.tag for info in experiment.metric_infos]
said["status"] = end.status
print(json.dumps(said))
"""


PYTHON = python_with("python-tensorboard", ["tensorboard.backend.event_processing.event_accumulator"], ["tensorboard"])
if PYTHON is None:
    print("skipped: there is no package tensorboard")
    sys.exit(77)


def read(folder):
    done = subprocess.run([str(PYTHON), "-c", READER, str(folder)], capture_output=True, text=True, timeout=100, check=False)
    expect(done.returncode == 0, f"expected tensorboard to read {folder}, got {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def rounded(value):
    return struct.unpack("f", struct.pack("f", float(value)))[0]


def expected_scalars(folder):
    """Every number of metrics.jsonl as (tag, step, value)."""
    for line in map(json.loads, (folder / "metrics.jsonl").read_text().splitlines()):
        for name, value in line.items():
            if name == "update" or isinstance(value, str) and value not in ("inf", "-inf") or value is None:
                continue
            first, _, rest = name.partition(".")
            by_step = first == "evaluation" and rest.rpartition(".")[2].isdigit()
            tag = f"{first}{'_by_step' if by_step else ''}/{rest}" if "event" in line else f"update/{name}"
            yield tag, line["update"], rounded(value)


def tensorboard_reads_a_run(folder):
    keys = [*SMALL, "--train.epochs=2", f"--run.output={folder}/run", "--run.tensorboard=true"]
    succeed(2, "train", QUICKSTART, *keys, "--train.updates=4")
    # A run that was killed after its last checkpoint has told more than it goes on from.
    succeed(2, "train", QUICKSTART, *keys)
    events = sorted((folder / "run/tensorboard").iterdir())
    expect(len(events) == 2, f"expected a file for each start, got {events}")
    said = read(folder / "run/tensorboard")
    expected = list(expected_scalars(folder / "run"))
    expect(len({tag for tag, _, _ in expected}) > 60, f"expected many curves, got {len(expected)} values")
    for tag, step, value in expected:
        expect([step, value] in said["scalars"].get(tag, []), f"expected {tag} = {value} at {step}, got {said['scalars'].get(tag)}")
    known = {tag for tag, _, _ in expected}
    strangers = [tag for tag in said["scalars"] if tag not in known and not tag.startswith(("base/", "base_by_step/"))]
    expect(not strangers, f"expected no other curves than metrics.jsonl has, got {strangers}")
    for updates in [said["scalars"]["update/loss"]]:
        expect([step for step, _ in updates] == [1, 2, 3, 4, 5, 6], f"expected six updates, got {updates}")
    for tag, points in said["histograms"].items():
        expect(all(num == total > 0 and low <= high for _, num, low, high, total in points), f"expected counts of all values in {tag}, got {points}")
    expect({"evaluation/q/log_phi", "evaluation/q/log_weight"} <= said["histograms"].keys(), f"expected distributions, got {list(said['histograms'])}")
    expect(all("| weight | log phi | text |" in text and text.count("\n") > 2 for _, text in said["texts"]["evaluation/sweep/texts"]),
           f"expected tables of texts, got {said['texts']}")
    config = json.loads((folder / "run/summary.json").read_text())["config"]
    flat = {f"{section}.{key}": value for section, keys in config.items() for key, value in keys.items()}
    expect(sorted(said["infos"]) == sorted(flat) == sorted(said["values"]), f"expected every key as a hyperparameter, got {said['infos']}")
    for key, value in flat.items():
        if isinstance(value, (int, float)) and key not in ("train.updates",):  # the first start had others
            expect(said["values"][key] == value, f"expected {key} = {value}, got {said['values'][key]}")
    expect(set(said["metrics"]) <= said["scalars"].keys() and len(said["metrics"]) > 5, f"expected metrics that are curves, got {said['metrics']}")
    expect(said["status"] == 1, f"expected a session that ended well, got {said['status']}")


def it_changes_no_number(folder):
    """With and without: the same estimates and metrics. A new start removes the earlier events, an evaluation adds its own."""
    keys = [*SMALL, "--run.resume=never"]
    succeed(1, "train", QUICKSTART, *keys, f"--run.output={folder}/plain")
    for _ in range(2):
        succeed(2, "train", QUICKSTART, *keys, f"--run.output={folder}/run", "--run.tensorboard=true")
    expect(not (folder / "plain/tensorboard").exists(), "expected no events unless they are asked for")
    expect(len(list((folder / "run/tensorboard").iterdir())) == 1, "expected the events of the second start alone")
    expect(metrics(folder / "run") == metrics(folder / "plain"), "expected the same metrics")
    expect(estimates(folder / "run") == estimates(folder / "plain"), "expected the same estimates")
    before = read(folder / "run/tensorboard")
    succeed(1, "evaluate", QUICKSTART, *SMALL, f"--run.output={folder}/run", "--run.tensorboard=true", "--evaluate.repeats=2")
    after = read(folder / "run/tensorboard")
    expect(after["scalars"]["update/loss"] == before["scalars"]["update/loss"], "expected the curves of learning to stay")
    tag = "evaluation/log_z.smc_lower.n"
    expect(after["scalars"][tag] == [*before["scalars"][tag], [6, 2.0]], f"expected one more evaluation, got {after['scalars'][tag]}")


if __name__ == "__main__":
    main(tensorboard_reads_a_run, it_changes_no_number)
