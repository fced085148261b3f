# SPDX-License-Identifier: Apache-2.0
"""evaluate and sample on a trained twist, and a model folder without a tokenizer."""
import json
import math
import shutil
import statistics

from run_twistor import EXACT_LOG_Z, QUICKSTART, SMALL, TINY, difference, estimates, expect, main, parameters, run, succeed

PROMPT_IDS = "2,3,4,5,6,7,4,32,42,8,14,15,10,42,16,4,47,8"  # the quickstart's prompt
ATE = 30


def evaluate(folder):
    """Alone, on any number of ranks, it repeats the bounds of train's final evaluation to the last digit."""
    output = folder / "run"
    succeed(2, "train", QUICKSTART, *SMALL, f"--run.output={output}")
    wanted, sha = estimates(output), parameters(output)
    for ranks, group in [(1, 0), (3, 0), (3, 1)]:
        (output / "summary.json").unlink()
        done = succeed(ranks, "evaluate", QUICKSTART, *SMALL, f"--run.output={output}", f"--run.ranks_per_population={group}")
        where = difference(estimates(output), wanted)
        expect(not where, f"evaluate on {ranks} ranks differs from train's last evaluation in {where}")
        expect("SMC lower bound" in done.out, f"expected a table, got {done}")
        expect(done.err.count("estimated work: 2 evaluations") == 1, f"expected the cost to be said once, got {done}")
    elsewhere = folder / "elsewhere"
    succeed(2, "evaluate", QUICKSTART, *SMALL, f"--run.output={elsewhere}", f"--evaluate.checkpoint={output}/checkpoint.h5")
    where = difference(estimates(elsewhere), wanted)
    expect(not where, f"evaluate on another folder's checkpoint differs in {where}")
    # An evaluation does not push out the one before: that gets a number.
    summary, results = (output / "summary.json").read_bytes(), (output / "results.h5").read_bytes()
    n = len(list(output.glob("summary.*.json")))
    for k in [n + 1, n + 2]:
        kept = {f.name: f.read_bytes() for f in output.iterdir() if f.name.startswith(("summary", "results"))}
        numbers = {int(name.split(".")[1]) for name in kept if name.count(".") == 2}
        succeed(2, "evaluate", QUICKSTART, *SMALL, f"--run.output={output}", f"--smc.particles={4 * k}")
        new = max({int(f.name.split(".")[1]) for f in output.glob("summary.*.json")} - numbers)
        expect((output / f"summary.{new}.json").read_bytes() == kept["summary.json"]
               and (output / f"results.{new}.h5").read_bytes() == kept["results.h5"], f"expected the earlier evaluation as number {new}")
        expect(all((output / name).read_bytes() == kept[name] for name in kept if name.count(".") == 2), "expected older ones untouched")
        expect(json.loads((output / "summary.json").read_text())["config"]["smc"]["particles"] == 4 * k, "expected the newest in summary.json")
    expect(summary != (output / "summary.json").read_bytes() and results != (output / "results.h5").read_bytes(),
           "expected other numbers with other particles")
    expect(parameters(output) == sha, "expected evaluate to leave the checkpoint alone")
    done = run(2, "evaluate", QUICKSTART, f"--run.output={folder}/none")
    expect(done.code == 66 and "checkpoint" in done.err, f"expected evaluate without a checkpoint to fail with 66, got {done}")


def sample(folder):
    """60 updates leave a rough twist, so that weights differ; 40 populations of 16. From psi = 1 the weights would have so long a
    tail that 40 populations could not show their mean."""
    output = folder / "run"
    keys = [*SMALL, "--twist.init_scale=1", "--train.updates=60", "--train.checkpoint_every=0", "--train.batch=64", f"--run.output={output}"]
    succeed(1, "train", QUICKSTART, *keys)
    texts = {}
    for ranks, group in [(1, 0), (2, 0), (3, 0), (3, 1)]:
        file = folder / f"{ranks}-{group}.jsonl"
        succeed(ranks, "sample", QUICKSTART, *keys, "--sample.count=640", "--sample.from=population", f"--sample.path={file}", f"--run.ranks_per_population={group}")
        texts[ranks, group] = file.read_bytes()
        expect(texts[ranks, group] == texts[1, 0], f"expected the same samples on {ranks} ranks, {group} a population")
    rows = [json.loads(line) for line in texts[1, 0].splitlines()]
    expect(len(rows) == 640, f"expected 640 samples, got {len(rows)}")
    vocabulary = {i: word for word, i in json.loads((TINY / "tokenizer.json").read_text())["model"]["vocab"].items()}
    z = {}
    for row in rows:
        expect(len(row["ids"]) == 4 and row["text"].split() == [vocabulary[i] for i in row["ids"]], f"expected ids and text to agree, got {row}")
        log_phi = 0 if ATE in row["ids"] else -13.815510557964274
        expect(abs(row["log_phi"] - log_phi) < 1e-9, f"expected log phi {log_phi}, got {row}")
        expect(row["log_p0"] < 0 and row["log_q"] < 0, f"expected log-probabilities, got {row}")
        expect(row["prompt"].startswith("once upon a time"), f"expected the prompt, got {row}")
        z.setdefault(row["population"], []).append(math.exp(row["log_weight"]))
    totals = [sum(weights) for weights in z.values()]
    mean, se = statistics.mean(totals), statistics.stdev(totals) / math.sqrt(len(totals))
    expect(len(totals) == 40 and abs(mean - math.exp(EXACT_LOG_Z)) < 5 * se < math.exp(EXACT_LOG_Z),
           f"expected the populations' weights to add up to Z = {math.exp(EXACT_LOG_Z)} on average, got {mean} +- {se}")
    total, all_weights = sum(row["weight"] for row in rows), sum(totals)
    expect(abs(total - 1) < 1e-9, f"expected weights to add up to 1 over the file, got {total}")
    expect(all(abs(row["weight"] - math.exp(row["log_weight"]) / all_weights) < 1e-9 for row in rows), "expected weights to be normalised")
    # log p0 is that of `twistor score`, after the prompt.
    ids = [int(i) for i in PROMPT_IDS.split(",")] + rows[0]["ids"]
    scored = json.loads(succeed(0, "score", TINY, "--ids", ",".join(map(str, ids))).out)["log_probs"]
    expect(abs(sum(scored[-4:]) - rows[0]["log_p0"]) < 1e-4, f"expected log p0 {sum(scored[-4:])}, got {rows[0]}")


def without_tokenizer(folder):
    model = shutil.copytree(TINY, folder / "model")
    (model / "tokenizer.json").unlink()
    keys = [*SMALL, f"--model.path={model}", "--prompt.text=", f"--prompt.ids={PROMPT_IDS}", "--target.words=", f"--target.ids={ATE}"]
    succeed(2, "train", QUICKSTART, *SMALL, f"--run.output={folder}/words")
    succeed(2, "train", QUICKSTART, *keys, f"--run.output={folder}/ids")
    expect(parameters(folder / "ids") == parameters(folder / "words"), "expected ids and words to name the same job")
    succeed(2, "sample", QUICKSTART, *keys, f"--run.output={folder}/ids", "--sample.count=8")
    rows = [json.loads(line) for line in (folder / "ids/samples.jsonl").read_text().splitlines()]
    expect(len(rows) == 8 and all("ids" in row and "text" not in row for row in rows), f"expected samples without text, got {rows}")
    for bad, words in [(["--prompt.ids=", "--prompt.text=once upon a time"], ["prompt.text", "the model has no tokenizer", "prompt.ids"]),
                       (["--target.words=ate"], ["target.words needs a tokenizer", "target.ids"])]:
        done = run(2, "train", QUICKSTART, *keys, *bad, f"--run.output={folder}/bad")
        expect(done.code == 78 and all(word in done.err for word in [*words, "hint: "]), f"expected {words}, got {done}")


main(evaluate, sample, without_tokenizer)
