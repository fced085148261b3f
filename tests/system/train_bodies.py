# SPDX-License-Identifier: Apache-2.0
"""Twists with a body of their own: equal bits on any number of ranks, resume, evaluate, sample, adapters, and what is refused."""
import json
import shutil

from run_twistor import QUICKSTART, ROOT, SMALL, difference, estimates, expect, main, metrics, parameters, run, succeed

COPY = ["--twist.body=copy", "--twist.form=linear", "--train.positives=exact"]
LORA = ["--twist.body=lora", "--twist.lora_rank=3", "--twist.lora_targets=c_attn, mlp.c_proj", "--twist.form=tied_mlp", "--train.positives=weighted"]
# Texts that end at a full stop, in bfloat16, with steps on hidden states that are computed anew.
ENDING = ["--twist.body=copy", "--twist.form=mlp", "--train.positives=both", "--train.inner_epochs=2", "--model.dtype=bfloat16",
          "--target.stop_at_eos=true", "--target.end_token=8"]
# A loss of log q and of a value, which have gradients by hidden states of their own.
VALUE = ["--twist.body=lora", "--twist.form=linear", "--train.objective=ppo", "--train.positives=exact"]
# The twist as the ratio of two language models, without a head.
RATIO = ["--twist.body=lora", "--twist.lora_rank=3", "--twist.lora_targets=c_attn, mlp.c_proj", "--twist.form=ratio", "--train.objective=ratio",
         "--train.positives=both"]
GOLDEN = ROOT / "tests/golden"


def results(output):
    return {"sha256": parameters(output), "estimates": estimates(output), "metrics": metrics(output)}


def same_bits(folder, name, keys, rank_counts=(1, 2, 4)):
    shared = f"--exact.path={folder}/{'ending' if keys is ENDING else 'exact'}.h5"
    first = None
    for ranks in rank_counts:
        output = folder / f"{name}-{ranks}"
        succeed(ranks, "train", QUICKSTART, *SMALL, *keys, shared, f"--run.output={output}")
        found = results(output)
        first = first or found
        for what, value in found.items():
            where = difference(value, first[what], what)
            expect(not where, f"{name} on {ranks} ranks differs from one rank in {where}")
    # Half, then the rest on other ranks.
    output = folder / f"{name}-resumed"
    succeed(2, "train", QUICKSTART, *SMALL, *keys, shared, "--train.updates=3", f"--run.output={output}")
    succeed(1, "train", QUICKSTART, *SMALL, *keys, shared, f"--run.output={output}")
    expect(parameters(output) == first["sha256"], f"{name}: learning that was resumed ends elsewhere")
    return output, first["sha256"]


def use(output, keys, form):
    """evaluate and sample read the body from the checkpoint; another body is refused by name."""
    succeed(2, "evaluate", QUICKSTART, *SMALL, *keys, f"--run.output={output}", "--exact.source=none")
    succeed(1, "sample", QUICKSTART, *SMALL, *keys, f"--run.output={output}", "--sample.count=5")
    done = run(0, "sample", QUICKSTART, *SMALL, *keys, f"--run.output={output}", f"--twist.body={form}")
    expect(done.code == 78 and "twist.body is" in done.err, f"another body: expected to be refused, got {done}")


def adapters(folder, output):
    """The adapter that a run writes starts another one: the untrained twist is the first one's body then."""
    adapter = output / "adapter"
    config = json.loads((adapter / "adapter_config.json").read_text())
    expect(config["r"] == 3 and config["target_modules"] == ["c_attn", "mlp.c_proj"] and config["fan_in_fan_out"], f"adapter_config.json: {config}")
    again = folder / "again"
    succeed(1, "train", QUICKSTART, *SMALL, *LORA, f"--twist.adapter={adapter}", "--train.updates=0", f"--run.output={again}")
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        expect((again / "adapter" / name).read_bytes() == (adapter / name).read_bytes(), f"{name} changes on its way through a run")


def adapter_of_the_best(folder):
    """With train.keep = best, adapter/ is that of best.h5: what a run that starts from there writes before it learns."""
    best, again = folder / "best", folder / "best-again"
    worse = ["--train.learning_rate=3", "--train.keep=best", "--train.epochs=3", f"--exact.path={folder}/exact.h5"]
    done = succeed(1, "train", QUICKSTART, *SMALL, *RATIO, *worse, f"--run.output={best}")
    expect("the best twist is that after update" in done.err, f"expected the last twist to be worse, got {done}")
    succeed(1, "train", QUICKSTART, *SMALL, *RATIO, f"--train.start={best}/best.h5", "--train.updates=0", f"--run.output={again}")
    name = "adapter/adapter_model.safetensors"
    expect((best / name).read_bytes() == (again / name).read_bytes(), "expected the adapter of the best twist")


def refused(folder, keys, words, code=78):
    output = folder / "refused"
    done = run(2, "train", QUICKSTART, *SMALL, *keys, f"--run.output={output}")
    expect(done.code == code and all(word in done.err for word in words) and done.err.count("hint: ") == 1,
           f"train {keys}: expected exit code {code} and {words}, got {done}")
    shutil.rmtree(output, ignore_errors=True)


def bad_input(folder):
    refused(folder, ["--twist.body=lora", "--twist.lora_targets=q_proj"], ["q_proj", "there are c_attn, c_fc, c_proj", "twist.lora_targets"])
    refused(folder, ["--twist.body=lora", "--twist.lora_rank=0"], ["twist.lora_rank", "at least 1", "got 0"])
    refused(folder, ["--twist.body=head"], ["twist.body", "base, copy, lora"])
    refused(folder, [f"--twist.adapter={GOLDEN}/gpt2/adapter"], ["twist.body is base", "set twist.body = lora"])
    lora = ["--twist.body=lora", f"--twist.adapter={GOLDEN}/gpt2/adapter"]
    refused(folder, lora, ["set twist.lora_rank = 3 and twist.lora_alpha = 5"])
    refused(folder, [*lora, "--twist.lora_rank=3", "--twist.lora_alpha=5"], ["it lacks", "attn.c_proj", "set twist.lora_targets = c_attn, mlp.c_proj"])
    refused(folder, [*lora, "--twist.lora_rank=3", "--twist.lora_alpha=5", "--twist.lora_targets=c_attn,mlp.c_proj"], ["has the shape [3, 32]", "belongs to another model"])
    quantised = ["--twist.body=copy", f"--model.path={GOLDEN}/llama_q8.gguf", "--prompt.text=", "--prompt.ids=3,5", "--target.words=", "--target.ids=7"]
    refused(folder, quantised, ["twist.body = copy learns all weights", "set twist.body = lora"])


def bodies(folder):
    copy, of_copy = same_bits(folder, "copy", COPY)
    lora, of_lora = same_bits(folder, "lora", LORA)
    _, of_ending = same_bits(folder, "ending", ENDING)
    _, of_value = same_bits(folder, "value", VALUE, (1, 3))
    ratio, of_ratio = same_bits(folder, "ratio", RATIO, (1, 3))
    expect(len({of_copy, of_lora, of_ending, of_value, of_ratio}) == 5, "expected each body to learn something of its own")
    use(copy, COPY, "base")
    use(lora, LORA, "copy")
    expect(not (copy / "adapter").exists(), "a copy has no adapter")
    use(ratio, RATIO, "copy")
    adapters(folder, lora)
    adapter_of_the_best(folder)
    # Another engine has other last bits.
    succeed(2, "train", QUICKSTART, *SMALL, *LORA, "--run.kernels=aten", "--train.updates=2", f"--run.output={folder}/aten")
    bad_input(folder)


main(bodies)
