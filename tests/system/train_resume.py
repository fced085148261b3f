# SPDX-License-Identifier: Apache-2.0
"""Training that stops and goes on ends like training that never stopped, or is refused with the reason."""
import shutil

from run_twistor import QUICKSTART, SMALL, TINY, difference, estimates, expect, info, main, metrics, parameters, run, succeed


def train(output, *keys):
    return ["train", QUICKSTART, *SMALL, f"--exact.path={output.parent}/exact.h5", f"--run.output={output}", *keys]


def uninterrupted(folder, *keys):
    """What the other runs are held against, and a run of the first three updates alone."""
    succeed(2, *train(folder / "whole", *keys))
    succeed(2, *train(folder / "half", "--train.updates=3", *keys))


def expect_same(folder, output, what):
    for name, read in {"sha256": parameters, "estimates": estimates, "metrics": metrics}.items():
        where = difference(read(output), read(folder / "whole"), name)
        expect(not where, f"{what}: differs from an uninterrupted run in {where}")


def goes_on(folder):
    uninterrupted(folder)
    expect(parameters(folder / "half") != parameters(folder / "whole"), "expected three updates to differ from six")
    for ranks in [2, 3, 1]:
        output = shutil.copytree(folder / "half", folder / f"resumed-{ranks}")
        done = succeed(ranks, *train(output, "--run.resume=auto" if ranks < 3 else "--run.resume=require"))
        expect("resuming after update 3" in done.err, f"expected a word on resuming, got {done}")
        expect_same(folder, output, f"resumed on {ranks} ranks")
    # A job that is finished says so again, and metrics.jsonl does not grow.
    succeed(2, *train(folder / "resumed-2"))
    expect_same(folder, folder / "resumed-2", "run again when finished")
    # run.resume = never starts anew, in a folder that holds another run.
    succeed(2, *train(folder / "half", "--run.resume=never"))
    expect_same(folder, folder / "half", "run.resume = never")


def goes_on_in_epochs(folder):
    """A tied twist in bfloat16 with annealing and inner epochs, evaluations between epochs, and a stop on the border of two."""
    keys = ["--model.dtype=bfloat16", "--train.epochs=2", "--train.positives=weighted", "--twist.form=tied_mlp", "--train.anneal=4",
            "--train.anneal_ess=20", "--train.inner_epochs=2"]
    succeed(2, *train(folder / "whole", *keys))
    expect([line["update"] for line in metrics(folder / "whole") if "event" in line] == [0, 3, 6],
           f"expected an evaluation before each epoch and at the end, got {metrics(folder / 'whole')}")
    succeed(2, *train(folder / "half", *keys, "--train.updates=3", "--train.epochs=1"))
    succeed(3, *train(folder / "half", *keys))
    expect_same(folder, folder / "half", "resumed between two epochs")


def refuses(folder):
    succeed(1, *train(folder / "half", "--train.updates=3"))
    other = shutil.copytree(TINY, folder / "other_model")
    weights = bytearray((other / "model.safetensors").read_bytes())
    weights[-1] ^= 0x01
    (other / "model.safetensors").write_bytes(weights)
    # exact.path is left out: the exact samples of another target are refused too, and would be replaced in run.output.
    succeed(1, *(word for word in train(folder / "half", "--train.updates=3") if not word.startswith("--exact.path")))
    before = {f.name: f.read_bytes() for f in (folder / "half").iterdir()}
    expect("exact.h5" in before and "summary.json" in before, f"expected a finished run, got {sorted(before)}")
    ours = [word for word in train(folder / "half") if not word.startswith("--exact.path")]
    for keys, code, words in [
            (["--train.learning_rate=0.01"], 78, ["train.learning_rate", "'0.001'", "'0.01'"]),
            (["--train.batch=48"], 78, ["train.batch"]),
            (["--prompt.text=once upon a time"], 78, ["prompt.text"]),
            (["--target.words=stole"], 78, ["target.words", "'ate'", "'stole'"]),
            (["--model.dtype=bfloat16"], 78, ["model.dtype"]),
            (["--twist.form=linear"], 78, ["twist.form"]),
            (["--twist.form=tied_mlp"], 78, ["twist.form"]),
            (["--train.anneal=2"], 78, ["train.anneal"]),
            (["--train.inner_epochs=2"], 78, ["train.inner_epochs"]),
            ([f"--model.path={other}"], 78, ["the language model's fingerprint"]),
            (["--train.updates=2"], 78, ["train.updates", "3 updates"]),
            # Refused for other reasons, and asked to start anew with other exact samples.
            (["--run.resume=never", "--run.seed=7", "--exact.count=1"], 78, ["exact samples", "there is one"])]:
        ranks = 2 if "--train.batch=48" in keys else 0
        done = run(ranks, *ours, *keys)
        expect(done.code == code and all(word in done.err for word in [*words, "hint: "]) and done.err.count("hint: ") == 1,
               f"{keys}: expected one refusal with exit code {code} that names {words}, got {done}")
    after = {f.name: f.read_bytes() for f in (folder / "half").iterdir()}
    changed = [name for name in before | after if before.get(name) != after.get(name)]
    expect(not changed, f"expected refusals to leave all files alone, changed: {changed}")
    done = run(2, *train(folder / "new", "--run.resume=require"))
    expect(done.code == 66 and "there is no checkpoint" in done.err and "hint: " in done.err,
           f"expected run.resume=require without a checkpoint to fail with 66, got {done}")
    expect(not (folder / "new/checkpoint.h5").exists(), "expected a refused run to write no checkpoint")


def knows_its_prompt(folder):
    """A # inside the prompt does not end it, and a prompt is its tokens: neither checkpoint nor exact samples serve another one."""
    ours, theirs = ["--prompt.text=once # upon"], ["--prompt.text=once # the fox"]
    succeed(1, *train(folder / "run", "--train.updates=1", *ours))
    own_samples = f"--exact.path={folder}/other.h5"
    done = run(0, *train(folder / "run", "--train.updates=2", own_samples, *theirs))
    expect(done.code == 78 and all(word in done.err for word in ["prompt.text is", "once # upon", "once # the fox", "2,1,3", "2,1,10,42"]),
           f"expected a checkpoint of 'once # upon' to be refused for 'once # the fox', got {done}")
    done = run(0, *train(folder / "new", "--train.updates=1", *theirs))
    expect(done.code == 78 and "they belong to another model, prompt or target" in done.err,
           f"expected exact samples of 'once # upon' to be refused for 'once # the fox', got {done}")
    done = succeed(1, *train(folder / "run", "--train.updates=2", "--prompt.text=", "--prompt.ids=2,1,3"))
    expect("resuming after update 1" in done.err, f"expected the same prompt as ids to be taken, got {done}")


def knows_its_samples(folder):
    """Learning from exact samples goes on with the same ones, wherever they lie; other ones are refused."""
    keys = ["--exact.source=rejection", "--target.words=ate,stole,bit,helped", "--exact.count=40", "--exact.budget=4000"]
    own, other = ["--exact.path=" + str(folder / "own.h5")], ["--exact.path=" + str(folder / "other.h5")]
    succeed(1, *train(folder / "run", "--train.updates=1", *keys, *own))
    succeed(1, *train(folder / "run2", "--train.updates=1", "--run.seed=9", *keys, *other))
    done = run(2, *train(folder / "run", "--train.updates=2", *keys, *other))
    expect(done.code == 78 and "the exact samples that the twist learned from are not those of this run" in done.err and done.err.count("hint: ") == 1,
           f"expected other exact samples to be refused, got {done}")
    shutil.copyfile(folder / "own.h5", folder / "moved.h5")
    done = succeed(2, *train(folder / "run", "--train.updates=2", *keys, "--exact.path=" + str(folder / "moved.h5")))
    expect("resuming after update 1" in done.err, f"expected the same samples to be taken from another file, got {done}")


def flip_byte(file, share):
    data = bytearray(file.read_bytes())
    data[int(len(data) * share)] ^= 0x10
    file.write_bytes(data)


def damaged(folder):
    uninterrupted(folder)
    newest, previous = folder / "half/checkpoint.h5", folder / "half/checkpoint.previous.h5"
    for share in [0.01, 0.5, 0.99]:
        output = shutil.copytree(folder / "half", folder / f"newest-{share}")
        flip_byte(output / newest.name, share)
        done = succeed(2, *train(output))
        expect("going on with the generation before it" in done.err and "resuming after update 2" in done.err,
               f"newest generation damaged at {share}: expected a warning and update 2, got {done}")
        expect_same(folder, output, f"newest generation damaged at {share}")
    output = shutil.copytree(folder / "half", folder / "cut")
    (output / newest.name).write_bytes(newest.read_bytes()[:1000])
    succeed(2, *train(output))
    expect_same(folder, output, "newest generation cut short")
    (folder / "half" / newest.name).rename(folder / "half/elsewhere.h5")
    succeed(1, *train(shutil.copytree(folder / "half", folder / "gone")))
    expect_same(folder, folder / "gone", "newest generation gone")
    (folder / "half/elsewhere.h5").rename(newest)
    for file in [newest, previous]:
        flip_byte(file, 0.5)
    kept = newest.read_bytes()
    done = run(2, *train(folder / "half"))
    expect(done.code == 65 and "neither generation can be used" in done.err and "hint: " in done.err
           and done.err.count("neither generation") == 1, f"both generations damaged: expected one refusal with 65, got {done}")
    expect(newest.read_bytes() == kept, "expected a damaged checkpoint to be left as it is")


def rejection_goes_on(folder):
    """Rejection that ran out of its budget goes on where it stopped when it gets more, on any number of ranks."""
    keys = ["--exact.source=rejection", "--target.words=ate,stole,bit,helped", "--exact.count=40", "--train.updates=1"]
    succeed(2, *train(folder / "whole", *keys))
    part = ["--exact.path=" + str(folder / "part.h5")]
    done = succeed(1, *train(folder / "little", *keys, *part, "--exact.budget=100"))
    expect("exact.budget = 100 draws gave" in done.err, f"expected a warning about the budget, got {done}")
    done = succeed(1, *train(folder / "again", *keys, *part, "--exact.budget=100"))
    expect("belong to another" not in done.err, f"expected what the budget gave to be taken again, got {done}")
    succeed(3, *train(folder / "more", *keys, *part))
    expect_same(folder, folder / "more", "rejection in two parts")
    expect(info(folder / "part.h5") == info(folder / "exact.h5"), "expected the same samples and draws, in parts and on other ranks")


main(goes_on, goes_on_in_epochs, refuses, knows_its_prompt, knows_its_samples, damaged, rejection_goes_on)
