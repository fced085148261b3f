# SPDX-License-Identifier: Apache-2.0
"""Whole runs on other engines: the same numbers but for rounding, checkpoints that go from one to the other, clear refusals."""
import json
import os
import pathlib
import shutil

from run_twistor import QUICKSTART, SMALL, TWISTOR, estimates, expect, main, parameters, run, succeed

# Without enumeration, which is a forward pass of 48^3 sequences: emulation is slow.
FEW = ["--exact.source=none", "--train.positives=weighted", "--train.updates=2", "--train.batch=8", "--smc.particles=8",
       "--evaluate.repeats=2", "--evaluate.samples=8"]


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


def train(ranks, output, *keys, environment=None):
    return succeed(ranks, "train", QUICKSTART, *SMALL, "--twist.form=tied_mlp", f"--run.output={output}", *keys, limit_s=120,
                   environment=environment)


def numbers_below(value, path=""):
    """All numbers of JSON by their path."""
    if isinstance(value, dict):
        for key, below in value.items():
            if not key.endswith("seconds") and key not in ("counters", "config", "configuration", "versions", "ranks", "hosts"):
                yield from numbers_below(below, f"{path}.{key}")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield path, value


def expect_near(got, wanted, what):
    wanted = dict(numbers_below(summary(wanted)))
    got = dict(numbers_below(summary(got)))
    expect(len(wanted) > 20 and got.keys() == wanted.keys(), f"{what}: expected the same numbers, got {got.keys() ^ wanted.keys()}")
    far = {path: (value, wanted[path]) for path, value in got.items() if abs(value - wanted.get(path, value)) > 2e-3}
    expect(not far, f"{what}: expected numbers near those of the CPU's own kernels, got {far}")


def engines_agree(folder):
    train(1, folder / "own")
    done = train(2, folder / "aten", "--run.kernels=aten")
    expect("engine: aten on cpu" in done.err, f"expected the engine's name, got {done}")
    expect_near(folder / "aten", folder / "own", "ATen on 2 ranks")
    train(1, folder / "few", *FEW)
    done = train(2, folder / "emulated", *FEW, "--run.device=emulated")
    expect("engine: own kernels, emulated" in done.err, f"expected the engine's name, got {done}")
    expect_near(folder / "emulated", folder / "few", "GPU kernels, emulated, on 2 ranks")


def deterministic_on_any_number_of_ranks(folder):
    keys = [*FEW, "--run.device=emulated", "--run.deterministic=true", "--run.cuda_graphs=on"]
    results = {}
    for ranks in (1, 2, 3, 5):
        output = folder / f"on_{ranks}"
        done = train(ranks, output, *keys)
        expect("last bits" not in done.err, f"expected no word on last bits, got {done}")
        succeed(ranks, "sample", QUICKSTART, *SMALL, *keys, "--twist.form=tied_mlp", f"--run.output={output}", "--sample.count=6")
        results[ranks] = {"sha256": parameters(output), "estimates": estimates(output), "samples": (output / "samples.jsonl").read_text()}
    others = [ranks for ranks in results if results[ranks] != results[1]]
    expect(not others, f"GPU kernels, deterministic: expected the bits of 1 rank on {others} ranks, got {results}")


def bodies_and_parts_change_nothing(folder):
    """What is learned of a body stays on the device, and scores come in parts: near the CPU's numbers, bits of any number of ranks."""
    keys = [*FEW, "--twist.body=copy", "--twist.form=linear"]
    train(1, folder / "body_cpu", *keys)
    train(1, folder / "body", *keys, "--run.device=emulated", "--run.deterministic=true")
    expect_near(folder / "body", folder / "body_cpu", "a body that is learned by emulated kernels")
    train(2, folder / "in_parts", *keys, "--run.device=emulated", "--run.deterministic=true", "--smc.particles_at_once=3")
    got, wanted = [{"sha256": parameters(folder / f), "estimates": estimates(folder / f)} for f in ("in_parts", "body")]
    expect(got == wanted, f"scores of three particles at a time, 2 ranks: expected the bits of all and 1 rank, got {got} and {wanted}")


def tensors_go_by_nccl(folder):
    """A library that carries NCCL's calls over MPI stands in for it: same bits on one rank, and by MPI."""
    standin = pathlib.Path(TWISTOR).parent / "tests" / "support" / "nccl_standin"
    expect((standin / "libnccl.so.2").exists(), f"expected the stand-in in {standin}")
    environment = {"LD_LIBRARY_PATH": f"{standin}:{os.environ.get('LD_LIBRARY_PATH', '')}"}
    keys = [*FEW, "--run.device=emulated", "--run.deterministic=true"]
    train(1, folder / "alone", *keys)
    for ranks, way, name in ((3, "nccl", "NCCL 2.99.99"), (2, "auto", "MPI")):
        done = train(ranks, folder / way, *keys, f"--run.collectives={way}", environment=environment)
        expect(f"tensors go from rank to rank by {name}\n" in done.err, f"expected the name of the way, got {done}")
        got, wanted = [{"sha256": parameters(folder / f), "estimates": estimates(folder / f)} for f in (way, "alone")]
        expect(got == wanted, f"tensors by {name} on {ranks} ranks: expected the bits of one rank, got {got} and {wanted}")


def checkpoints_go_from_one_to_the_other(folder):
    train(1, folder / "whole", f"--exact.path={folder}/exact.h5")
    train(1, folder / "half", "--train.updates=3", f"--exact.path={folder}/exact.h5")
    output = shutil.copytree(folder / "half", folder / "resumed")
    done = train(2, output, "--run.kernels=aten", f"--exact.path={folder}/exact.h5")
    expect("resuming after update 3" in done.err, f"expected a word on resuming, got {done}")
    expect_near(output, folder / "whole", "begun on the CPU's own kernels, ended on ATen's")
    train(1, folder / "few_whole", *FEW, "--train.updates=6")
    there_and_back = folder / "there_and_back"
    for ranks, updates, device in ((1, 2, "cpu"), (2, 4, "emulated"), (1, 6, "cpu")):
        done = train(ranks, there_and_back, *FEW, f"--train.updates={updates}", f"--run.device={device}")
        expect(updates == 2 or f"resuming after update {updates - 2}" in done.err, f"expected a word on resuming, got {done}")
    expect_near(there_and_back, folder / "few_whole", "from the CPU to emulated kernels and back")


def starts_up_in_order(folder):
    """With a libtorch_cuda whose driver is too old: had anything asked LibTorch for GPUs before it was opened, it would not be seen."""
    standin = pathlib.Path(TWISTOR).parent / "tests" / "support" / "cuda_standin"
    expect((standin / "libtorch_cuda.so").exists(), f"expected the stand-in in {standin}")
    environment = {"LD_LIBRARY_PATH": f"{standin}:{os.environ.get('LD_LIBRARY_PATH', '')}"}
    done = run(0, "train", QUICKSTART, *SMALL, f"--run.output={folder}/gpu", "--run.device=cuda", environment=environment)
    expect(done.code == 78 and "the stand-in's driver is too old" in done.err and "nvidia-smi" in done.err and done.err.count("hint: ") == 1,
           f"expected one message of the stand-in's driver, got {done}")


def refusals(folder):
    done = run(0, "train", QUICKSTART, *SMALL, f"--run.output={folder}/gpu", "--run.device=cuda")
    expect(done.code in (0, 78), f"expected a run or a refusal, got {done}")
    if done.code == 78:
        expect("run.device = cuda" in done.err and "run.device = cpu" in done.err and done.err.count("hint: ") == 1,
               f"expected one message that says what to do, got {done}")
        expect(not (folder / "gpu" / "summary.json").exists(), "expected no results of a refused run")
    done = run(0, "train", QUICKSTART, *SMALL, f"--run.output={folder}/gpu", "--run.device=emulated", "--run.kernels=aten")
    expect(done.code == 78 and "run.kernels = auto" in done.err, f"expected a refusal, got {done}")
    done = run(0, "train", QUICKSTART, *SMALL, f"--run.output={folder}/gpu", "--run.collectives=nccl")
    expect(done.code == 78 and "run.collectives = auto" in done.err, f"expected a refusal, got {done}")
    done = run(0, "train", QUICKSTART, f"--run.output={folder}/gpu", "--run.device=tpu")
    expect(done.code == 78 and "emulated" in done.err, f"expected a refusal that names the devices, got {done}")


main(engines_agree, deterministic_on_any_number_of_ranks, bodies_and_parts_change_nothing, tensors_go_by_nccl, checkpoints_go_from_one_to_the_other,
     starts_up_in_order, refusals)
