# SPDX-License-Identifier: Apache-2.0
"""Models and folders as people have them: special tokens in front, padded vocabularies, several end tokens, two runs in one folder."""
import json
import math
import os
import re
import shutil
import subprocess

from run_twistor import ENVIRONMENT, QUICKSTART, SMALL as SMALL_RUN, TINY, TWISTOR, estimates, expect, finish, main, parameters, ranks_of, run, start, succeed, wait_until

# Three tokens: to go through all continuations takes no time.
SMALL = [*SMALL_RUN, "--target.length=3"]
TEXT = "once upon a time there was a kind fox . one day the fox met a hen ."
TEMPLATE = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<end>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [], "special_tokens": {"<end>": {"id": "<end>", "ids": [0], "tokens": ["<end>"]}}}


def copy_of_tiny(folder, change=None, **files):
    """models/tiny with another tokenizer.json, and further files of JSON."""
    folder.mkdir()
    for name in ["config.json", "model.safetensors", "tokenizer.json"]:
        shutil.copyfile(TINY / name, folder / name)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    if change:
        change(tokenizer)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    for name, value in files.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    return folder


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


def ids_of(text):
    return json.loads(succeed(0, "tokenize", TINY, "--text", text).out)


def special_tokens(folder):
    """A prompt as text begins as the tokenizer says, and gives the numbers of the same prompt as ids."""
    model = copy_of_tiny(folder / "model", lambda tokenizer: tokenizer.update(post_processor=TEMPLATE))
    keys = ["train", QUICKSTART, *SMALL, f"--model.path={model}"]
    done = succeed(2, *keys, f"--run.output={folder}/auto")
    expect("the first is '<end>' (id 0), by the post_processor of tokenizer.json" in done.err, f"expected the rule in the log, got {done}")
    ids = ids_of(TEXT)
    prompt = summary(folder / "auto")["prompt"]
    expect(prompt == {"ids": [0, *ids], "special_tokens": [0], "rule": "the post_processor of tokenizer.json"}, f"expected the ids and the rule, got {prompt}")
    spelled = ",".join(map(str, [0, *ids]))
    succeed(1, *keys, "--prompt.text=", f"--prompt.ids={spelled}", f"--run.output={folder}/ids")
    expect(estimates(folder / "auto") == estimates(folder / "ids"), "expected the numbers of the same ids")
    expect(summary(folder / "ids")["prompt"] == {"ids": [0, *ids], "special_tokens": [], "rule": None}, "ids stay as they are given")
    succeed(1, *keys, f"--prompt.text=<end> {TEXT}", f"--run.output={folder}/spelled")
    expect(summary(folder / "spelled")["prompt"]["ids"] == [0, *ids], "expected the special token once where the text spells it out")
    succeed(1, *keys, "--prompt.special_tokens=none", f"--run.output={folder}/none")
    succeed(1, "train", QUICKSTART, *SMALL, f"--run.output={folder}/plain")
    expect(estimates(folder / "none") == estimates(folder / "plain") != estimates(folder / "auto"), "expected none to be the bare text")
    done = run(0, *keys, "--prompt.special_tokens=none", f"--run.output={folder}/auto", "--train.updates=7")
    expect(done.code == 78 and "prompt.special_tokens is 'auto' in the checkpoint and 'none' in this run" in done.err, f"expected a refusal, got {done}")
    scored = json.loads(succeed(0, "score", model, "--text", TEXT).out)
    expect(scored["ids"] == [0, *ids] and len(scored["log_probs"]) == len(ids), f"expected score to put it in front, got {scored}")
    bare = json.loads(succeed(0, "score", model, "--text", TEXT, "--special-tokens=none").out)
    expect(bare == json.loads(succeed(0, "score", TINY, "--text", TEXT).out), f"expected the bare text, got {bare}")
    expect("in front of a text: '<end>' (id 0), by the post_processor of tokenizer.json" in succeed(0, "info", model).out, "expected the rule from info")
    expect("in front of a text: nothing\n" in succeed(0, "info", TINY).out, "expected info to say that nothing is put there")
    # Potentials that read text do not see what is put in front of it.
    regex = ["--target.potential=regex", "--target.words=", "--target.pattern=^once.*ate"]
    succeed(1, *keys, *regex, f"--run.output={folder}/regex")
    exact = summary(folder / "regex")["log_z"]["exact"]
    expect(abs(exact - summary(folder / "auto")["log_z"]["exact"]) < 1e-9, f"expected log Z of 'ate', got {exact}")


def drop(*words):
    def change(tokenizer):
        for word in words:
            del tokenizer["model"]["vocab"][word]
    return change


def padded_vocabulary(folder):
    """Rows that no token has are never drawn: sampler, scorer, enumeration and exact samples have one p0."""
    model = copy_of_tiny(folder / "model", drop("hen", "mouse", "stole"))
    text = TEXT.replace("hen", "dog")
    keys = [f"--model.path={model}", f"--prompt.text={text}"]
    done = succeed(2, "train", QUICKSTART, *SMALL, *keys, f"--run.output={folder}/mask")
    expect("padded: 3 rows (ids 29, 46-47) stand for no token and are never drawn" in done.err, f"expected one line about the rows, got {done}")
    succeed(1, "train", QUICKSTART, *SMALL, *keys, f"--run.output={folder}/one")
    expect(parameters(folder / "mask") == parameters(folder / "one") and estimates(folder / "mask") == estimates(folder / "one"), "expected the same on one rank")
    succeed(1, "train", QUICKSTART, *SMALL, *keys, "--model.padded_tokens=keep", f"--run.output={folder}/keep")
    succeed(1, "train", QUICKSTART, *SMALL, f"--prompt.text={text}", f"--run.output={folder}/whole")
    expect(estimates(folder / "keep") == estimates(folder / "whole") != estimates(folder / "mask"), "expected keep to be the model as it is")
    done = run(0, "train", QUICKSTART, *SMALL, *keys, "--model.padded_tokens=keep", f"--run.output={folder}/mask", "--train.updates=7")
    expect(done.code == 78 and "model.padded_tokens is 'mask' in the checkpoint and 'keep' in this run" in done.err, f"expected a refusal, got {done}")
    sampled = ["--sample.count=300", "--smc.proposal=base", "--sample.from=population"]
    for rule, drawn in [("mask", False), ("keep", True)]:
        file = folder / f"{rule}.jsonl"
        succeed(1, "sample", QUICKSTART, *SMALL, *keys, *sampled, f"--model.padded_tokens={rule}", "--target.log_floor=-1",
                f"--sample.path={file}", f"--run.output={folder}/samples")
        ids = {i for line in file.read_text().splitlines() for i in json.loads(line)["ids"]}
        expect(bool(ids & {29, 46, 47}) == drawn, f"{rule}: expected padded ids to be drawn: {drawn}, got {sorted(ids)}")
    ids = ids_of(text)
    # 29 never follows; what its probability was is shared out.
    masked = json.loads(succeed(0, "score", model, "--ids", ",".join(map(str, [*ids, 29]))).out)["log_probs"]
    kept = json.loads(succeed(0, "score", model, "--padded-tokens=keep", "--ids", ",".join(map(str, [*ids, 29]))).out)["log_probs"]
    expect(masked[-1] == "-inf" and kept[-1] < 0, f"expected no probability under mask, got {masked[-1]} and {kept[-1]}")
    expect(all(a >= b for a, b in zip(masked[:-1], kept[:-1])) and masked[:-1] != kept[:-1], "expected the other tokens to gain")
    expect("padded vocabulary: 3 rows (ids 29, 46-47)" in succeed(0, "info", model).out, "expected the rows from info")
    # Enumeration has the sampler's p0: estimates agree with the exact log Z.
    log_z = summary(folder / "mask")["log_z"]
    succeed(2, "train", QUICKSTART, *SMALL, *keys, "--smc.particles=400", "--evaluate.repeats=20", "--train.updates=40", f"--run.output={folder}/many")
    many = summary(folder / "many")["log_z"]
    expect(many["exact"] == log_z["exact"], "expected one exact log Z")
    gap = many["exact"] - many["lower"]["mean"] if "lower" in many else 0
    expect(abs(gap) < 0.3, f"expected the lower bound near the exact log Z, got {many}")


def end_tokens(folder):
    """generation_config.json names several ends; each of them ends a text, and the first one follows."""
    model = copy_of_tiny(folder / "model", generation_config={"eos_token_id": [8, 10]})
    keys = ["--target.stop_at_eos=true", "--target.length=5", "--sample.count=400", "--smc.proposal=base", "--sample.from=population", "--target.log_floor=-1"]
    done = succeed(2, "sample", QUICKSTART, *SMALL, f"--model.path={model}", *keys, f"--run.output={folder}/files")
    expect("tokens 8, 10 end a text" in done.err, f"expected both tokens in the log, got {done}")
    rows = [json.loads(line) for line in (folder / "files/samples.jsonl").read_text().splitlines()]
    n_ended = {10: 0, 8: 0}
    for row in rows:
        ends = [i for i, token in enumerate(row["ids"]) if token in n_ended]
        if not ends:
            continue
        n_ended[row["ids"][ends[0]]] += 1
        expect(set(row["ids"][ends[0] + 1:]) <= {8}, f"expected token 8 alone after the end, got {row}")
        expect(not {".", "the"} & set(row["text"].split()), f"expected the text to stop before its end, got {row}")
    expect(min(n_ended.values()) > 10, f"expected texts to end in both ways, got {n_ended} of {len(rows)}")
    succeed(1, "sample", QUICKSTART, *SMALL, *keys, "--target.end_token=8,10", f"--run.output={folder}/keys")
    expect((folder / "keys/samples.jsonl").read_bytes() == (folder / "files/samples.jsonl").read_bytes(), "expected target.end_token to be the same")
    config = json.loads((TINY / "config.json").read_text())
    config["eos_token_id"] = None
    mute = copy_of_tiny(folder / "mute", lambda t: t.update(added_tokens=[]), config=config, generation_config={"eos_token_id": None})
    done = run(0, "sample", QUICKSTART, *SMALL, f"--model.path={mute}", *keys, f"--run.output={folder}/mute_run")
    expect(done.code == 78 and "missing or null" in done.err and "target.end_token" in done.err, f"expected a refusal that names null, got {done}")


def two_runs_in_one_folder(folder):
    """The second is refused with the name of the first; a kill leaves no lock behind."""
    keys = ["train", QUICKSTART, *SMALL, "--train.updates=100000", "--train.checkpoint_every=0", "--train.evaluate=false", f"--run.output={folder}/run"]
    first = start(2, *keys)
    expect(wait_until(lambda: (folder / "run/.lock").exists() and (folder / "run/.lock").stat().st_size > 0), "expected a lock")
    holder = (folder / "run/.lock").read_text().split()[1]
    expect(int(holder) in ranks_of(first), f"expected the lock to name a rank of the first run, got {holder}")
    for words in [keys, ["sample", QUICKSTART, *SMALL, "--smc.proposal=base", f"--run.output={folder}/run"]]:
        done = run(2, *words)
        expect(done.code == 78 and f"another run writes there: process {holder} on " in done.err and "hint: " in done.err and done.err.count("hint: ") == 1,
               f"expected one refusal that names the holder, got {done}")
    for pid in ranks_of(first):
        subprocess.run(["kill", "-9", str(pid)], check=False)
    finish(first)
    expect((folder / "run/.lock").exists(), "expected the killed run's file")
    succeed(1, *keys, "--train.updates=1")
    names = sorted(f.name for f in (folder / "run").iterdir())
    expect(not [name for name in names if name.startswith(".")], f"expected a finished run to leave neither lock nor trial file, got {names}")


def more_ranks_than_shards(folder):
    """Ranks without a shard idle in learning, and nothing else changes."""
    for ranks in [1, 3]:
        done = succeed(ranks, "train", QUICKSTART, *SMALL, "--train.shards=2", f"--run.output={folder}/{ranks}")
        expect(("1 of 3 ranks will idle" in done.err) == (ranks == 3), f"expected a warning on 3 ranks alone, got {done}")
    expect(parameters(folder / "1") == parameters(folder / "3") and estimates(folder / "1") == estimates(folder / "3"), "expected the same bits")


def without_exact_samples(folder):
    """exact.source = none: no upper bounds, no file, and no learning from what is not there."""
    succeed(2, "train", QUICKSTART, *SMALL, "--exact.source=none", "--train.positives=weighted", f"--run.output={folder}/none")
    expect(not (folder / "none/exact.h5").exists(), "expected no file of exact samples")
    expect(summary(folder / "none")["log_z"]["exact"] is None, "expected no exact log Z")
    done = run(2, "train", QUICKSTART, *SMALL, "--exact.source=none", "--train.positives=exact", f"--run.output={folder}/exact")
    expect(done.code == 78 and "train.positives asks for exact samples" in done.err, f"expected a refusal, got {done}")


def threads(folder):
    """The log says how many threads a rank has and why; threads that outnumber cores should not spin."""
    words = [TWISTOR, "sample", QUICKSTART, *SMALL, "--smc.proposal=base", "--sample.count=2", f"--run.output={folder}/run"]
    unset = ["OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"]
    bare = {**{name: value for name, value in ENVIRONMENT.items() if name not in unset},
            **{name: value for name, value in os.environ.items() if name not in unset}}

    def log_of(**more):
        return subprocess.run(words, env={**bare, **more}, capture_output=True, text=True, timeout=60, check=True).stderr

    cores = len(os.sched_getaffinity(0))
    log = log_of()
    said = re.search(r"; (\d+) threads? per rank \((\d+) cores?(, a CPU quota of ([0-9.]+))?, 1 rank on this machine\)", log)
    expect(said and int(said[2]) == cores, f"expected one line about {cores} cores, got {log!r}")
    expect(said and int(said[1]) == min(cores, math.ceil(float(said[4])) if said[4] else cores), f"expected a thread for each usable core, got {log!r}")
    expect("OMP_WAIT_POLICY" not in log, f"expected no warning, got {log!r}")
    crowded = {"OMP_NUM_THREADS": str(2 * cores)}
    log = log_of(**crowded)
    expect(f"; {2 * cores} threads per rank" in log and "set OMP_WAIT_POLICY=passive" in log, f"expected the user's number and a warning, got {log!r}")
    expect("OMP_WAIT_POLICY" not in log_of(OMP_WAIT_POLICY="passive", **crowded), "expected no warning where threads sleep")


main(special_tokens, padded_vocabulary, end_tokens, two_runs_in_one_folder, more_ranks_than_shards, without_exact_samples, threads)
