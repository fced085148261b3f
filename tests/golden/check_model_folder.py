#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whether transformers reads a folder as `twistor score` does: the largest difference of the log-probabilities of some tokens.

usage: check_model_folder.py TWISTOR FOLDER...     FOLDER: model/ of a run with twist.form = ratio and twist.body = copy, or any other

Needs torch and transformers from PyPI in a virtual environment. Ends with exit code 1 where a difference is above 1e-4 or where transformers
misses a weight, finds one too many or ties what has been untied.
"""
import json
import pathlib
import random
import subprocess
import sys

import torch
from transformers import AutoModelForCausalLM


def difference(twistor, folder):
    model, report = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True, dtype=torch.float32)
    wrong = {key: list(names) for key, names in report.items() if names}
    rng = random.Random(1)
    ids = [rng.randrange(model.config.vocab_size) for _ in range(12)]
    with torch.no_grad():
        log_p = torch.log_softmax(model.eval().double()(torch.tensor([ids])).logits[0], -1)
    theirs = [log_p[t, token].item() for t, token in enumerate(ids[1:])]
    done = subprocess.run([twistor, "score", folder, "--ids", ",".join(map(str, ids))], capture_output=True, text=True, check=True)
    ours = json.loads(done.stdout)["log_probs"]
    tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    return max(abs(a - b) for a, b in zip(ours, theirs, strict=True)), wrong, tied


def main():
    failures = 0
    for folder in sys.argv[2:]:
        error, wrong, tied = difference(sys.argv[1], folder)
        says_tied = json.loads((pathlib.Path(folder) / "config.json").read_text()).get("tie_word_embeddings")
        bad = error > 1e-4 or wrong or (says_tied is False and tied)
        failures += bool(bad)
        print(f"{folder}: largest difference {error:.1e}, {'tied' if tied else 'untied'}, {wrong or 'all weights read'}{'   FAILED' if bad else ''}")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
