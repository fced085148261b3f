# SPDX-License-Identifier: Apache-2.0
"""sample and info: draws follow sigma, whatever the ranks; formats, repeats, the best; what is said at the end and of each file."""
import csv
import json
import math
import shutil
from collections import Counter

from run_twistor import QUICKSTART, SMALL, TINY, expect, leftovers, main, run, succeed

# Which kind of animal, and which: 2304 sequences, 18 of them likely. p0 gives "sly" a third, sigma 0.8.
TALE = ["--prompt.text=once upon a time there was a", "--target.length=2", "--target.words=sly", "--target.log_floor=-2", "--smc.proposal=base",
        "--run.progress=false"]
LAYOUTS = [(1, 0), (2, 0), (3, 0), (3, 1)]  # ranks, ranks of a group


def rows_of(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def sample(folder, ranks, *keys, output="none"):
    """The rows of a run without a checkpoint, and what it printed."""
    file = folder / "out.jsonl"
    done = succeed(ranks, "sample", QUICKSTART, *TALE, f"--run.output={folder}/{output}", f"--sample.path={file}", *keys)
    return rows_of(file), done


def chi_square(rows, others, log_z):
    """Pearson's statistic of the sequences against sigma, and its number of bins: those seen in either with 5 expected, and the rest.

    sigma(s) is known exactly for every row: p0(s) phi(s) / Z with Z by enumeration.
    """
    sigma = {tuple(r["ids"]): math.exp(r["log_p0"] + r["log_phi"] - log_z) for r in rows + others}
    seen = Counter(tuple(r["ids"]) for r in rows)
    bins = [s for s, p in sigma.items() if p * len(rows) >= 5]
    expected, observed = [sigma[s] * len(rows) for s in bins], [seen[s] for s in bins]
    expected.append(len(rows) - sum(expected))
    observed.append(len(rows) - sum(observed))
    return sum((o - e) ** 2 / max(e, 1) for o, e in zip(observed, expected)), len(bins) + 1


def draws_follow_sigma(folder):
    """1000 draws of populations of 256, where the bias of finite K (below 0.002) does not show.

    The limit, bins + 7 sqrt(2 bins), has a false-alarm rate below 1e-5 for 18 bins. The control chooses without weights: a
    population of one particle leaves nothing to choose.
    """
    succeed(2, "train", QUICKSTART, *SMALL, *TALE, "--train.updates=0", f"--run.output={folder}/exact")
    log_z = json.loads((folder / "exact/summary.json").read_text())["log_z"]["exact"]
    rows, done = sample(folder, 2, "--sample.count=1000", "--smc.particles=256")
    control, warned = sample(folder, 2, "--sample.count=1000", "--smc.particles=1")
    for name, mine, others in [("draws", rows, control), ("control", control, rows)]:
        statistic, bins = chi_square(mine, others, log_z)
        limit = bins + 7 * math.sqrt(2 * bins)
        print(f"{name}: chi square {statistic:.1f} with {bins} bins, limit {limit:.1f}")
        expect(bins > 10, f"expected more bins than {bins}")
        expect((statistic < limit) == (name == "draws"), f"expected {name} on the other side of {limit}, got {statistic}")
    moved, said = sample(folder, 2, "--sample.count=1000", "--smc.particles=2", "--sample.moves=20")
    still, _ = sample(folder, 2, "--sample.count=1000", "--smc.particles=2")
    for name, mine in [("moved", moved), ("not moved", still)]:
        statistic, bins = chi_square(mine, rows, log_z)
        limit = bins + 7 * math.sqrt(2 * bins)
        print(f"{name}: chi square {statistic:.1f} with {bins} bins, limit {limit:.1f}")
        expect((statistic < limit) == (name == "moved"), f"expected two particles, {name}, on the other side of {limit}, got {statistic}")
    expect("moves to another text" in said.out and "of 20000" in said.out, f"expected how many moves there were, got {said}")
    for words in ["mean log phi", "distinct texts", "of 1000", "of 64", "mean ESS at the end", "of 256"]:
        expect(words in done.out, f"expected '{words}' in the summary, got {done}")
    expect("without a twist" in done.err and "degenerate" not in done.err, f"expected no warning, got {done}")
    expect("degenerate" in warned.err and "raise smc.particles" in warned.err, f"expected a warning of K = 1, got {warned}")
    expect(abs(sum(row["weight"] for row in rows) - 1) < 1e-9, "expected weights that add up to 1")
    # Z_hat of each draw's population is unbiased: 5 standard errors.
    z = [math.exp(row["log_weight"] - log_z) for row in rows]
    mean = sum(z) / len(z)
    se = math.sqrt(sum((x - mean) ** 2 for x in z) / len(z) / (len(z) - 1))
    expect(abs(mean - 1) < 5 * se < 0.1, f"expected the mean of Z_hat / Z to be 1, got {mean} +- {se}")


def ranks_do_not_matter(folder):
    """With a twist and without, draws and populations, both formats: the same bytes."""
    trained = [*SMALL, "--run.output=" + str(folder / "run")]
    succeed(2, "train", QUICKSTART, *trained)
    for case, keys in enumerate([[*trained, "--sample.count=12"], [*trained, "--sample.count=40", "--sample.from=population", "--sample.format=csv"],
                                 [*TALE, f"--run.output={folder}/none", "--smc.particles=7", "--sample.count=15", "--sample.unique=true"]]):
        seen = []
        for ranks, group in LAYOUTS:
            file = folder / f"{case}-{ranks}-{group}"
            done = succeed(ranks, "sample", QUICKSTART, *keys, f"--sample.path={file}", f"--run.ranks_per_population={group}")
            seen.append((file.read_bytes(), done.out))
        expect(seen[0][0] and all(s == seen[0] for s in seen), f"expected the same file and summary on {LAYOUTS} with {keys}")
    expect(not leftovers(folder), f"expected no temporary files, got {leftovers(folder)}")


def csv_is_read_by_python(folder):
    """A vocabulary with a comma, quotes, a line end and a character beyond ASCII among its words."""
    model = shutil.copytree(TINY, folder / "model")
    tokenizer = json.loads((model / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    for old, new in [("fox", 'f,o"x"\nü'), ("sly", '"'), ("wolf", "\r\n"), ("bear", ",")]:
        vocabulary[new] = vocabulary.pop(old)
    (model / "tokenizer.json").write_text(json.dumps(tokenizer))
    keys = [f"--model.path={model}", "--prompt.text=", "--prompt.ids=2,3,4,5,6,7,42,4", "--target.words=", "--target.ids=33", "--sample.count=200"]
    rows, _ = sample(folder, 1, *keys)
    succeed(1, "sample", QUICKSTART, *TALE, *keys, f"--run.output={folder}/csv", "--sample.format=csv")
    with open(folder / "csv/samples.csv", newline="", encoding="utf-8") as stream:
        read = list(csv.DictReader(stream))
    expect(len(read) == len(rows) == 200 and list(read[0]) == list(rows[0]), f"expected 200 records of {list(rows[0])}, got {len(read)}, {list(read[0])}")
    for mine, wanted in zip(read, rows):
        expect(mine["text"] == wanted["text"] and mine["prompt"] == wanted["prompt"], f"expected {wanted}, got {mine}")
        expect([int(i) for i in mine["ids"].split()] == wanted["ids"], f"expected the ids of {wanted}, got {mine}")
        expect(all(float(mine[key]) == wanted[key] for key in ["log_phi", "log_p0", "log_q", "log_weight", "weight"]), f"expected {wanted}, got {mine}")
    texts = "".join(row["text"] for row in rows)
    expect(all(piece in texts for piece in [",", '"', "\n", "ü"]), "the test must write every awkward character")
    expect("200 sampled sequences" in succeed(0, "info", folder / "csv/samples.csv").out, "expected info to count records, not lines")


def repeats_and_the_best(folder):
    every, _ = sample(folder, 1, "--sample.count=300")
    once, _ = sample(folder, 1, "--sample.count=300", "--sample.unique=true")
    counts = Counter(row["text"] for row in every)
    expect({row["text"]: row["count"] for row in once} == counts and len(once) == len(counts) < 100, f"expected {counts}, got {once}")
    expect([row["text"] for row in once] == list(dict.fromkeys(row["text"] for row in every)), "expected texts in the order of their first draws")
    expect(abs(sum(row["weight"] for row in once) - 1) < 1e-9, "expected the weights of repeats to be added up")
    best, _ = sample(folder, 1, "--sample.count=300", "--sample.top=20")
    expect(best == sorted(every, key=lambda row: -row["log_phi"])[:20], f"expected the 20 of largest log phi, got {best}")
    whole, _ = sample(folder, 1, "--sample.count=300", "--sample.from=population", "--sample.unique=true", "--sample.top=5")
    weights = [row["weight"] for row in whole]
    expect(len(whole) == 5 and weights == sorted(weights, reverse=True) and sum(weights) < 1, f"expected the 5 heaviest texts, got {whole}")


def what_goes_wrong(folder):
    done = run(1, "sample", QUICKSTART, f"--run.output={folder}/none")
    expect(done.code == 66 and "no checkpoint" in done.err and "smc.proposal = base" in done.err, f"expected advice, got {done}")
    done = run(2, "sample", QUICKSTART, *TALE, "--target.words=hen", "--target.length=1", "--target.log_floor=-inf", "--smc.particles=2",
               f"--run.output={folder}/none", "--sample.count=3")
    expect(done.code == 65 and "phi was 0 for every particle" in done.err and "hint: " in done.err, f"expected an empty target to be named, got {done}")
    # "sly" with probability 1/3: populations of two are dead with probability 4/9, all of 60 alike with 1e-15 and less.
    rows, done = sample(folder, 2, "--target.log_floor=-inf", "--smc.particles=2", "--sample.count=60")
    expect(0 < len(rows) < 60 and f"in {60 - len(rows)} of 60 populations" in done.err, f"expected dead populations to be told of, got {len(rows)}, {done}")
    expect(all("sly" in row["text"] for row in rows) and "phi = 0 for" in done.out, f"expected texts of the target alone, got {done}")
    _, done = sample(folder, 1, "--prompt.text=once upon a zebra there was a <unk> unicorn", "--sample.count=1")
    expect("3 of the prompt's 9 tokens are the unknown token <unk> (id 1)" in done.err and "'zebra', '<unk>', 'unicorn'" in done.err,
           f"expected unknown words to be named, got {done}")


def info(folder):
    output = folder / "run"
    keys = [*SMALL, f"--run.output={output}"]
    succeed(1, "train", QUICKSTART, *keys)
    succeed(1, "sample", QUICKSTART, *keys, "--sample.count=20")
    succeed(1, "sample", QUICKSTART, *keys, "--sample.count=20", "--sample.format=csv")
    wanted = {"summary.json": ["summary of a run", "updates: 6\n", "log Z, exact: -6.4153", "SMC lower bound: ", "verdict: log Z "],
              "metrics.jsonl": ["metrics of a run, 8 lines", "updates: 6\n", "last update: 6, loss "],
              "samples.jsonl": ["20 sampled sequences", "mean log phi, weighted: -", 'prompt: "once upon'],
              "samples.csv": ["20 sampled sequences", "columns: prompt,text,ids,log_phi,"],
              "checkpoint.h5": ["a twist after 6 updates"], "exact.h5": ["60 exact samples"], "results.h5": ["arrays:"]}
    for name, words in wanted.items():
        text = succeed(0, "info", output / name).out
        expect(all(word in text for word in words), f"expected {words} from info on {name}, got {text[:1500]}")
    text = succeed(0, "info", output).out
    for words in ["folder of a run", *wanted, "a twist after 6 updates", "60 exact samples", "verdict: log Z "]:
        expect(words in text, f"expected '{words}' from info on the folder, got {text}")
    (output / "exact.h5").write_bytes((output / "exact.h5").read_bytes()[:-1])
    (output / "summary.json").unlink()
    with open(output / "metrics.jsonl", "a") as stream:
        stream.write('{"update": 7, "lo')
    text = succeed(0, "info", output).out
    expect("exact.h5: truncated" in text and "a twist after 6 updates" in text and "none yet" in text, f"expected damage to be told of, got {text}")
    expect("lines that are no JSON: 1" in succeed(0, "info", output / "metrics.jsonl").out, "expected the line cut short to be told of")
    (folder / "other.json").write_text('{"a": 1}\n')
    done = run(0, "info", folder / "other.json")
    expect(done.code == 65 and "something else" in done.err, f"expected foreign JSON to be refused, got {done}")
    (folder / "empty").mkdir()
    expect(run(0, "info", folder / "empty").code != 0, "expected an empty folder to be no run")


main(draws_follow_sigma, ranks_do_not_matter, csv_is_read_by_python, repeats_and_the_best, what_goes_wrong, info)
