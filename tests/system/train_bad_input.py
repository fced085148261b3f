# SPDX-License-Identifier: Apache-2.0
"""What users get wrong: one message that says what and what to do, the right exit code, nothing under a final name."""
import os
import shutil
import subprocess

from run_twistor import QUICKSTART, SMALL, TINY, estimates, expect, leftovers, main, run, succeed

FINAL = ["checkpoint.h5", "results.h5", "summary.json"]  # exact samples are whole, and of use to the next try


def refused(folder, ranks, keys, code, words, config=QUICKSTART, n_hints=1):
    output = folder / "run"
    done = run(ranks, "train", config, *SMALL, f"--run.output={output}", *keys)
    what = f"train {' '.join(map(str, keys))} on {ranks} ranks"
    expect(done.code == code and all(word in done.err for word in words), f"{what}: expected exit code {code} and {words}, got {done}")
    said = done.err.count("[rank ") if ranks > 1 else done.err.count("twistor: ")
    expect(said == 1 and done.err.count("hint: ") == n_hints, f"{what}: expected one message with a hint, got {done}")
    expect(done.seconds < 15, f"{what}: expected an end soon, got {done}")
    there = [name for name in FINAL if (output / name).exists()]
    expect(not there and not leftovers(output), f"{what}: expected no files, got {there} and {leftovers(output)}")
    shutil.rmtree(output, ignore_errors=True)


def bad_keys(folder):
    """What the reading of words finds is tested in cli_commands; here one of each kind reaches train."""
    config = folder / "typo.cfg"
    config.write_text("[smc]\nparticels = 3\n")
    refused(folder, 0, [], 78, ["typo.cfg", "smc.particels", "did you mean smc.particles"], config=config)
    refused(folder, 0, ["--target.length=0"], 78, ["target.length", "at least 1", "got 0"])
    refused(folder, 2, ["--smc.particles=0"], 78, ["smc.particles", "at least 1", "got 0"])
    refused(folder, 0, ["--smc.particles=many"], 78, ["smc.particles", "an integer", "'many'"])
    refused(folder, 0, ["--smc.resampling=best"], 78, ["smc.resampling", "best", "systematic"])
    refused(folder, 0, ["--train.learning_rate=nan"], 78, ["train.learning_rate"])


def bad_jobs(folder):
    missing, cut = folder / "missing", shutil.copytree(TINY, folder / "cut")
    (cut / "model.safetensors").write_bytes((TINY / "model.safetensors").read_bytes()[:100000])
    refused(folder, 2, [f"--model.path={missing}"], 66, ["model.path", str(missing)])
    refused(folder, 2, [f"--model.path={cut}"], 65, ["model.safetensors", "163328"], n_hints=0)
    refused(folder, 0, ["--target.length=47"], 78, ["18 tokens", "target.length = 47", "context of 64"])
    refused(folder, 2, ["--prompt.text=", "--prompt.ids=2,3,48"], 78, ["48"])
    refused(folder, 0, ["--target.words=dragon"], 78, ["dragon", "target.words"])
    refused(folder, 0, ["--target.potential=nicest"], 78, ["target.potential", "nicest"])
    refused(folder, 0, ["--target.potential=continuation", "--target.words=", "--target.beta=4", "--exact.source=joint"], 78,
            ["exact.source = joint", "target.beta is 4", "set target.beta = 1"])
    refused(folder, 0, ["--evaluate.log_z=much"], 78, ["evaluate.log_z", "finite number", "'much'"])
    refused(folder, 2, ["--run.ranks_per_population=3"], 78, ["ranks"])


def nowhere_positive(folder):
    """No sequence has phi > 0: a table that forbids every token, and a phrase longer than the sequence."""
    table = folder / "table.txt"
    table.write_text("".join(f"{i} -inf\n" for i in range(48)))
    refused(folder, 2, ["--target.potential=tokens", "--target.words=", "--target.log_floor=-inf",
                         f"--target.table={table}"], 78, ["-inf", "for every sequence"],
            n_hints=0)
    keys = ["--target.words=the fox ate the hen", "--target.log_floor=-inf"]
    refused(folder, 2, keys, 65, ["phi is 0 for every sequence"])
    refused(folder, 2, [*keys, "--exact.source=rejection", "--exact.budget=2000", "--train.positives=exact"], 78,
            ["train.positives asks for exact samples", "exact.budget"])
    # Samples alone cannot tell a rare target from an empty one.
    done = succeed(2, "train", QUICKSTART, *SMALL, *keys, f"--run.output={folder}/rare", "--exact.source=rejection",
                   "--exact.budget=2000", "--train.positives=weighted")
    expect(done.err.count("no sample of the proposal had phi > 0") == 1, f"expected one warning about skipped updates, got {done}")
    expect("gave up after 1000 draws without any sample" in done.err, f"expected a warning about the budget, got {done}")


def no_room(folder):
    """run.output that cannot be made, and a disk that fills up: the run's final names stay free."""
    (folder / "file").write_text("not a folder")
    refused(folder, 2, [f"--run.output={folder}/file/run"], 74, ["run.output"])
    disk = folder / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", disk], capture_output=True).returncode != 0:
        print("no small disk: only root can mount one")
        return
    try:
        done = run(2, "train", QUICKSTART, *SMALL, f"--run.output={disk}/run")
        expect(done.code == 74 and "No space left" in done.err and done.err.count("hint: ") == 1,
               f"full disk: expected one message with exit code 74, got {done}")
        there = [name for name in FINAL if name != "exact.h5" and (disk / "run" / name).exists()]
        expect(not there and not leftovers(disk), f"full disk: expected no half-written file, got {there} and {leftovers(disk)}")
        # With more room the job goes on from what is there.
        subprocess.run(["mount", "-o", "remount,size=4m", disk], check=True)
        succeed(2, "train", QUICKSTART, *SMALL, f"--run.output={disk}/run")
    finally:
        subprocess.run(["umount", disk], check=True)


def other_target_same_folder(folder):
    """Exact samples of another target, seed or way are not taken for this one's, whatever is in the folder."""
    stolen = ["--target.words=stole", "--train.updates=1"]
    succeed(1, "train", QUICKSTART, *SMALL, "--train.updates=1", f"--run.output={folder}/run")
    succeed(1, "train", QUICKSTART, *SMALL, *stolen, "--run.resume=never", f"--run.output={folder}/run")
    succeed(1, "train", QUICKSTART, *SMALL, *stolen, f"--run.output={folder}/fresh")
    expect(estimates(folder / "run") == estimates(folder / "fresh"), "expected the leftovers of another target to change nothing")
    done = run(1, "train", QUICKSTART, *SMALL, "--run.resume=never", f"--run.output={folder}/new", f"--exact.path={folder}/run/exact.h5")
    expect(done.code == 78 and "they belong to another model, prompt or target" in done.err, f"expected a refusal of exact.path, got {done}")


main(bad_keys, bad_jobs, nowhere_positive, no_room, other_target_same_folder)
