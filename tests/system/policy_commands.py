# SPDX-License-Identifier: Apache-2.0
"""Policies: evaluate and sample without a checkpoint, the same numbers on all ranks, and what is refused."""
import json
import shutil

from run_twistor import ROOT, TINY, expect, main, run, succeed

POLICY = str(ROOT / "configs/policy.cfg")
# Three tokens, so that enumeration takes no time; few of everything.
FEW = ["--target.length=3", "--evaluate.repeats=3", "--evaluate.samples=300", "--exact.count=100", "--smc.particles=16", "--run.progress=false"]


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


def evaluates_on_any_number_of_ranks(folder):
    """Every number of every policy has the same bits; the sampled divergences hold the exact ones within 4.5 standard errors."""
    found = {}
    for ranks in (1, 3):
        done = succeed(ranks, "evaluate", POLICY, *FEW, "--evaluate.enumerate_q=false", f"--run.output={folder}/on{ranks}")
        found[ranks] = summary(folder / f"on{ranks}")["policies"]
        for words in ["policy.tuned", "policy.hot", "base model", "inf (support cut)", "KL(q || p0)"]:
            expect(words in done.out, f"expected '{words}' in the table, got {done}")
    for policies in found.values():
        for policy in policies.values():
            policy.pop("seconds")
    expect(found[1] == found[3], "expected the same numbers on 1 and 3 ranks")
    succeed(1, "evaluate", POLICY, *FEW, f"--run.output={folder}/exact")
    exact = summary(folder / "exact")
    expect(exact["policies"]["policy.cut"]["kl"]["sigma_q"]["mean"] == "inf", "expected an infinite divergence of the cut policy")
    expect(exact["policies"]["policy.colder"]["kl"] == exact["kl"], "expected the first policy at the top of the summary")
    for name in ("policy.tuned", "policy.colder", "policy.hot"):
        for section, number in [("kl", "q_sigma"), ("kl", "sigma_q"), ("proposal", "kl_q_p0"), ("proposal", "log_phi")]:
            true, seen = exact["policies"][name][section][number], found[1][name][section][number]
            expect(abs(true["mean"] - seen["mean"]) < 4.5 * seen["se"] + 0.02, f"{name}.{number}: exact {true}, sampled {seen}")


def the_base_model_is_a_policy_without_divergence(folder):
    """Named by its path, at temperature 1: KL(q || p0) is 0, not nearly 0."""
    alone = ["--policy.tuned.adapter=", "--policy.colder.adapter=", "--policy.cut.adapter=", "--policy.hot.temperature=1"]
    succeed(2, "evaluate", POLICY, *FEW, *alone, f"--run.output={folder}/same")
    policies = summary(folder / "same")["policies"]
    expect(list(policies) == ["policy.hot"], f"expected one policy, got {list(policies)}")
    expect(policies["policy.hot"]["proposal"]["kl_q_p0"]["mean"] == 0, "expected KL(q || p0) = 0")
    succeed(2, "evaluate", POLICY, *FEW, *alone, "--policy.hot.dtype=bfloat16", f"--run.output={folder}/rounded")
    expect(summary(folder / "rounded")["policies"]["policy.hot"]["proposal"]["kl_q_p0"]["mean"] != 0,
           "expected another precision to be another policy")


def samples(folder):
    """Draws of a policy, weighed: without a checkpoint, from one policy alone."""
    done = run(1, "sample", POLICY, *FEW, f"--run.output={folder}/sample")
    expect(done.code == 78 and "there are 4" in done.err, f"expected several policies to be refused, got {done}")
    one = ["--policy.hot.path=", "--policy.colder.adapter=", "--policy.cut.adapter="]
    succeed(2, "sample", POLICY, *FEW, *one, "--sample.count=20", f"--run.output={folder}/sample")
    rows = [json.loads(line) for line in (folder / "sample/samples.jsonl").read_text().splitlines()]
    expect(len(rows) == 20 and all(row["log_q"] != row["log_p0"] for row in rows), f"expected draws of the policy, got {rows[:2]}")


def refusals(folder):
    """Another vocabulary by its first difference, wrong keys, what learning cannot do."""
    other = folder / "other"
    shutil.copytree(TINY, other)
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["frog"] = vocabulary.pop("hen")
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    for keys, command, code, words in [
            ([f"--policy.hot.path={other}"], "evaluate", 65, "token 47 is 'hen' in the first and 'frog' in the second"),
            (["--policy.hot.temprature=2"], "evaluate", 78, "did you mean"),
            (["--policy.a b.path=x"], "evaluate", 78, "unknown key"),
            ([f"--policy.hot.adapter={folder}/none"], "evaluate", 66, "policy.hot.adapter"),
            (["--smc.trigger=ess"], "evaluate", 78, "set smc.trigger = never"),
            ([], "train", 78, "set smc.proposal = twisted")]:
        done = run(1, command, POLICY, *FEW, *keys, f"--run.output={folder}/refused")
        expect(done.code == code and words in done.err, f"expected exit code {code} and '{words}', got {done}")


main(evaluates_on_any_number_of_ranks, the_base_model_is_a_policy_without_divergence, samples, refusals)
