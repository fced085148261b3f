# SPDX-License-Identifier: Apache-2.0
"""The same short training on 1 to 4 ranks, grouped or not, gives the same twist and the same digits everywhere."""
from run_twistor import QUICKSTART, SMALL, difference, estimates, expect, main, metrics, parameters, succeed

# (what is learned how, [(ranks, ranks per population), ...]); the first is what the others are held against.
CASES = [
    (["--twist.form=mlp", "--train.positives=exact", "--model.dtype=float32"], [(1, 0), (2, 0), (3, 0), (4, 0), (4, 1), (4, 2)]),
    (["--twist.form=linear", "--train.positives=weighted", "--model.dtype=bfloat16"], [(0, 0), (2, 1), (3, 0), (4, 2)]),
    (["--twist.form=mlp", "--train.positives=both", "--model.dtype=bfloat16"], [(1, 0), (4, 0)]),
    (["--twist.form=linear", "--train.positives=exact", "--model.dtype=float32", "--smc.proposal=base", "--smc.trigger=ess",
      "--smc.resampling=systematic"], [(2, 2), (3, 1)]),
    (["--twist.form=tied_mlp", "--train.positives=weighted", "--model.dtype=float32", "--train.anneal=4", "--train.anneal_ess=20",
      "--train.inner_epochs=2"], [(1, 0), (3, 0)]),
    # Texts that end at a full stop.
    (["--twist.form=linear", "--train.positives=both", "--target.stop_at_eos=true", "--target.end_token=8"], [(1, 0), (3, 0)]),
]


def same_bits(folder):
    seen = []
    for case, (keys, layouts) in enumerate(CASES):
        results = []
        for ranks, group in layouts:
            output = folder / f"{case}-{ranks}-{group}"
            # One set of exact samples for all; each rank count makes its own in the first case.
            shared = [] if case == 0 and group == 0 and ranks < 3 else [f"--exact.path={folder}/{keys[2][-4:]}.h5"]
            succeed(ranks, "train", QUICKSTART, *SMALL, *keys, *shared, f"--run.output={output}",
                    f"--run.ranks_per_population={group}")
            results.append({"sha256": parameters(output), "estimates": estimates(output), "metrics": metrics(output)})
        for (ranks, group), result in zip(layouts[1:], results[1:]):
            for what, value in result.items():
                where = difference(value, results[0][what], what)
                expect(not where, f"{keys} on {ranks} ranks, {group} a population, differs from {layouts[0]} in {where}")
        seen.append(results[0]["sha256"])
    expect(len(set(seen)) == len(CASES), f"expected each case to learn something else, got {seen}")


main(same_bits)
