# SPDX-License-Identifier: Apache-2.0
"""Distillation in rounds: exact divergences fall, equal bits on any number of ranks and after a stop, the adapter is a policy that an
independent reader understands, a copy is a model by itself, and the probability of what is to be avoided falls."""
import json
import math
import struct

from run_twistor import ROOT, TINY, difference, estimates, expect, main, metrics, parameters, run, succeed

DISTILL = str(ROOT / "configs/distill.cfg")
# Three tokens, so that enumeration takes no time.
SHORT = ["--target.length=3", "--evaluate.repeats=3", "--evaluate.samples=100", "--exact.count=100", "--smc.particles=16", "--run.progress=false"]
# Rounds of four updates.
FEW = [*SHORT, "--train.epochs=3", "--train.round_updates=4", "--train.round_samples=300", "--train.positive_batch=20", "--train.batch=24",
       "--train.checkpoint_every=1"]


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


def same_bits(folder):
    for objective in ("distill", "avoid"):
        keys = [*FEW, f"--train.objective={objective}", f"--exact.path={folder}/exact.h5"]
        found = {}
        for ranks in (1, 2, 3, 5):
            output = folder / f"{objective}{ranks}"
            succeed(ranks, "distill", DISTILL, *keys, f"--run.output={output}")
            found[ranks] = {"sha256": parameters(output), "estimates": estimates(output), "metrics": metrics(output)}
            where = difference(found[ranks], found[1])
            expect(not where, f"{objective} on {ranks} ranks differs from one rank in {where}")
        # Stopped inside the second round, on other ranks, and at its end.
        for updates in (6, 8):
            output = folder / f"{objective}-resumed{updates}"
            words = [*keys, "--twist.form=ratio", "--twist.body=lora", f"--run.output={output}"]
            succeed(2, "train", DISTILL, *words, f"--train.updates={updates}")
            succeed(1, "distill", DISTILL, *words)
            expect(parameters(output) == found[1]["sha256"], f"{objective}: what was resumed after {updates} updates ends elsewhere")


def safetensors(file):
    data = file.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    out = {}
    for name, about in json.loads(data[8:8 + size]).items():
        if name == "__metadata__":
            continue
        begin, end = (8 + size + offset for offset in about["data_offsets"])
        expect(about["dtype"] == "F32", f"{file}: {name} is {about['dtype']}")
        values = struct.unpack(f"<{(end - begin) // 4}f", data[begin:end])
        width = about["shape"][-1]
        out[name] = [list(values[i:i + width]) for i in range(0, len(values), width)] if len(about["shape"]) == 2 else list(values)
    return out


def gpt2_log_probs(ids, model, adapter=None):
    """log p of each token but the first by plain sums, from config.json, model.safetensors and the PEFT folder alone."""
    config, w = json.loads((model / "config.json").read_text()), safetensors(model / "model.safetensors")
    n_head, n_embd = config["n_head"], config["n_embd"]
    if adapter is not None:
        about, low = json.loads((adapter / "adapter_config.json").read_text()), safetensors(adapter / "adapter_model.safetensors")
        scale = about["lora_alpha"] / about["r"]

    def product(x, name):
        out = [[b + sum(r[i] * m[j] for i, m in enumerate(w[f"{name}.weight"])) for j, b in enumerate(w[f"{name}.bias"])] for r in x]
        if adapter is None:
            return out
        prefix = f"base_model.model.{name}"
        a, b = low[f"{prefix}.lora_A.weight"], low[f"{prefix}.lora_B.weight"]  # (r, in), (out, r)
        for row, r in zip(out, x):
            inner = [sum(p * q for p, q in zip(one, r)) for one in a]
            for j, one in enumerate(b):
                row[j] += scale * sum(p * q for p, q in zip(one, inner))
        return out

    def norm(x, name):
        out = []
        for r in x:
            mean = sum(r) / len(r)
            sd = math.sqrt(sum((v - mean) ** 2 for v in r) / len(r) + config["layer_norm_epsilon"])
            out.append([(v - mean) / sd * g + b for v, g, b in zip(r, w[f"{name}.weight"], w[f"{name}.bias"])])
        return out

    def softmax(row):
        top = max(row)
        e = [math.exp(v - top) for v in row]
        return [v / sum(e) for v in e]

    def add(x, y):
        return [[a + b for a, b in zip(r, s)] for r, s in zip(x, y)]

    def attention(x, name):
        qkv = product(x, f"{name}.c_attn")
        width = n_embd // n_head
        out = [[] for _ in x]
        for h in range(n_head):
            q, k, v = ([r[part * n_embd + h * width:part * n_embd + (h + 1) * width] for r in qkv] for part in range(3))
            for t, row in enumerate(q):
                p = softmax([sum(a * b for a, b in zip(row, k[s])) / math.sqrt(width) for s in range(t + 1)])
                out[t] += [sum(p[s] * v[s][i] for s in range(t + 1)) for i in range(width)]
        return product(out, f"{name}.c_proj")

    def gelu(x):
        return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))

    x = [[a + b for a, b in zip(w["transformer.wte.weight"][token], w["transformer.wpe.weight"][t])] for t, token in enumerate(ids[:-1])]
    for layer in range(config["n_layer"]):
        name = f"transformer.h.{layer}"
        x = add(x, attention(norm(x, f"{name}.ln_1"), f"{name}.attn"))
        inner = [[gelu(v) for v in r] for r in product(norm(x, f"{name}.ln_2"), f"{name}.mlp.c_fc")]
        x = add(x, product(inner, f"{name}.mlp.c_proj"))
    output = w["transformer.wte.weight" if config.get("tie_word_embeddings", True) else "lm_head.weight"]
    logits = [[sum(a * b for a, b in zip(r, e)) for e in output] for r in norm(x, "transformer.ln_f")]
    return [math.log(softmax(row)[token]) for row, token in zip(logits, ids[1:])]


def divergences_fall_and_the_adapter_is_a_policy(folder):
    output = folder / "whole"
    words = SHORT
    done = succeed(1, "distill", DISTILL, *words, f"--run.output={output}", limit_s=200)
    expect("round.3" in done.out, f"expected a row for each round, got {done}")
    after = summary(output)
    rounds = [after["before"], *(after["policies"][f"round.{i}"] for i in range(1, 4))]
    for name in ("sigma_q", "q_sigma"):
        kl = [e["kl"][name]["mean"] for e in rounds]
        expect(all(e["kl"][name]["note"] == "exact" for e in rounds), "expected exact divergences")
        expect(kl[1] < 0.5 * kl[0] and kl[3] < 0.1 * kl[0] and all(b < a for a, b in zip(kl, kl[1:])), f"KL {name}: {kl}")
    updates = [int(line["update"]) for line in metrics(output) if line.get("event")]
    expect(updates == [0, 60, 120, 180], f"expected an evaluation of each round, got {updates}")
    # The same texts by the policy that reads the adapter.
    succeed(1, "evaluate", DISTILL, *words, "--smc.proposal=policy", f"--policy.q.adapter={output}/adapter", f"--run.output={folder}/policy")
    for name in ("sigma_q", "q_sigma"):
        a, b = (summary(f)["kl"][name]["mean"] for f in (output, folder / "policy"))
        expect(abs(a - b) < 1e-4, f"KL {name}: {a} of the twist, {b} of the policy")
    ids = [3, 7, 11, 4, 20, 31, 8, 2, 40, 17, 5, 23]
    score = json.loads(succeed(0, "score", TINY, f"--ids={','.join(map(str, ids))}", f"--adapter={output}/adapter").out)
    base = json.loads(succeed(0, "score", TINY, f"--ids={','.join(map(str, ids))}").out)
    plain = gpt2_log_probs(ids, TINY, output / "adapter")
    error = max(abs(a - b) for a, b in zip(score["log_probs"], plain))
    moved = max(abs(a - b) for a, b in zip(base["log_probs"], plain))
    expect(len(plain) == len(score["log_probs"]) and error < 2e-4 < 0.1 < moved, f"log p differs by {error}; learning has moved it by {moved}")


def a_copy_is_a_model_by_itself(folder):
    """A folder that holds all a policy needs: the same divergences by it, and log-probabilities that an independent reader finds too."""
    output = folder / "copy"
    words = [*SHORT, "--train.epochs=1"]
    succeed(1, "distill", DISTILL, *words, "--twist.body=copy", "--train.round_updates=20", "--train.learning_rate=0.001", f"--run.output={output}")
    model = output / "model"
    for name in ("tokenizer.json", "tokenizer_config.json"):
        expect((model / name).exists() == (TINY / name).exists(), f"expected {name} of the base model beside the weights")
    expect(json.loads((model / "config.json").read_text())["tie_word_embeddings"] is False, "expected an output matrix of its own")
    succeed(1, "evaluate", DISTILL, *words, "--smc.proposal=policy", f"--policy.q.path={model}", f"--run.output={folder}/copied")
    for name in ("sigma_q", "q_sigma"):
        a, b = (summary(f)["kl"][name]["mean"] for f in (output, folder / "copied"))
        expect(abs(a - b) < 1e-4, f"KL {name}: {a} of the twist, {b} of the model")
    ids = [3, 7, 11, 4, 20, 31, 8, 2, 40, 17, 5, 23]
    score, base = (json.loads(succeed(0, "score", m, f"--ids={','.join(map(str, ids))}").out)["log_probs"] for m in (model, TINY))
    plain = gpt2_log_probs(ids, model)
    error, moved = (max(abs(a - b) for a, b in zip(s, plain)) for s in (score, base))
    expect(len(plain) == len(score) and error < 2e-4 < 0.02 < moved, f"log p differs by {error}; learning has moved it by {moved}")


def starts_from_samples_of_a_twist(folder):
    twist = [*SHORT, "--twist.form=mlp", "--twist.body=base", "--train.objective=ctl", "--train.positives=exact", f"--run.output={folder}/twist"]
    succeed(1, "train", DISTILL, *twist, "--train.updates=30", "--train.epochs=1", "--evaluate.enumerate_q=false")
    succeed(1, "sample", DISTILL, *twist, "--sample.from=population", "--sample.count=200")
    file = f"--train.round_file={folder}/twist/samples.jsonl"
    words = [*FEW, "--evaluate.enumerate_q=false"]
    succeed(1, "distill", DISTILL, *words, file, "--train.epochs=1", f"--run.output={folder}/given")
    expect(summary(folder / "given")["counters"]["skipped_updates"] == 0, "expected no update to be skipped")
    for keys, code, text in [
            ([file, "--target.words=bit"], 65, "log phi of sample"), ([file, "--target.length=2"], 65, "target.length = 2"),
            ([f"--train.round_file={folder}/none.jsonl"], 66, "none.jsonl"), ([f"--train.round_file={TINY}/config.json"], 65, "config.json, line 1"),
            (["--train.round_updates=0"], 78, "round_updates"), (["--train.objective=avoid", "--train.batch=1"], 78, "train.batch"),
            (["--smc.trigger=ess"], 78, "smc.trigger")]:
        done = run(1, "distill", DISTILL, *words, *keys, f"--run.output={folder}/refused")
        expect(done.code == code and text in done.err, f"{keys}: expected exit code {code} and '{text}', got {done}")


def avoids(folder):
    """P(event) = 1 - E_q[log phi] / log_floor, exact by enumeration, falls to a fraction; rounds say how far q has gone for it."""
    floor = -20
    keys = [*SHORT, "--train.objective=avoid", "--train.avoid_kl=5", f"--target.log_floor={floor}", "--train.batch=128", "--train.epochs=2",
            "--train.round_updates=40"]
    succeed(1, "distill", DISTILL, *keys, f"--run.output={folder}/away", limit_s=120)
    after = summary(folder / "away")
    p = [1 - e["proposal"]["log_phi"]["mean"] / floor for e in (after["before"], after["policies"]["round.1"], after)]
    expect(p[0] > 0.005 and p[1] < 0.1 * p[0] and p[2] < 0.5 * p[1], f"P(event) before and after each round: {p}")
    expect(0 < after["proposal"]["kl_q_p0"]["mean"] < 0.5, f"KL(q || p0): {after['proposal']['kl_q_p0']}")
    change = {int(line["update"]): float(line["log_change"]) for line in metrics(folder / "away") if "log_change" in line}
    expect(abs(change[1]) < 0.1 and change[80] < -3, f"log_change in the first and the last update: {change[1]}, {change[80]}")


main(same_bits, divergences_fall_and_the_adapter_is_a_policy, a_copy_is_a_model_by_itself, starts_from_samples_of_a_twist, avoids)
