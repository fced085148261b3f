#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes pairs.json in folders of tests/golden/encoders/: prompts with answers, as tokenizers and classifiers of the reference read them.

Needs torch, transformers and tokenizers from PyPI in a virtual environment (made with torch 2.11.0, transformers 5.24.0, tokenizers
0.23.3); nothing is downloaded from a hub. A file has the rows of each pair at several largest lengths, where the longer text is cut first:
"most", "ids", "type_ids", and the "logits" of the model in float64, with the types where it has any. deberta/pairs.json has beside them
"logits_positions", those of the variant of that name in variants.json, which has types.
"""
import json

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedTokenizerFast

from make_encoder_goldens import HERE, POSITIONS

LONG = "an actor whose every word rings true, in a story that never does; " * 3
PAIRS = [("a good film", "The plot, alas, is dull."), ("", "not bad at all !"), ("never", ""), ("", ""), ("the film is good", LONG), (LONG, "a bad plot"),
         (LONG, LONG + "the end"), ("Ünïcode, 3.14 and 小明", "every word")]


def model_of(folder, changes):
    config = AutoConfig.from_pretrained(folder, **changes)
    model = AutoModelForSequenceClassification.from_config(config)
    stored = load_file(folder / "model.safetensors")
    model.load_state_dict({name: stored[name] for name in model.state_dict() if name in stored}, strict=False)
    assert not {name for name in model.state_dict() if "position_ids" not in name and "token_type_ids" not in name} - set(stored)
    return model.eval().double(), config.type_vocab_size


def logits_of(model, n_types, ids, types):
    ids = torch.tensor(ids)[None]
    extra = {"token_type_ids": torch.tensor(types)[None]} if n_types > 0 else {}
    with torch.no_grad():
        return model(ids, attention_mask=torch.ones_like(ids), **extra).logits[0].tolist()


def main():
    torch.set_num_threads(1)
    for name in ["bert", "roberta", "deberta"]:
        folder = HERE / name
        most = POSITIONS - (2 if name == "roberta" else 0)
        file = Tokenizer.from_file(str(folder / "tokenizer.json"))
        file.no_padding()
        file.no_truncation()
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=file, model_input_names=["input_ids", "token_type_ids", "attention_mask"])
        variants = {"logits": {}}
        if name == "deberta":
            variants["logits_positions"] = json.loads((folder / "variants.json").read_text())["positions"]
        models = {key: model_of(folder, changes) for key, changes in variants.items()}
        rows = []
        for first, second in PAIRS:
            for length in [most, 20, 7, 4, 3]:
                # A batch, for of two single texts an empty second one is left out.
                if length < tokenizer.num_special_tokens_to_add(pair=True):
                    continue
                encoded = tokenizer([first], [second], truncation="longest_first", max_length=length)
                row = {"first": first, "second": second, "most": length, "ids": encoded["input_ids"][0], "type_ids": encoded["token_type_ids"][0]}
                if length == most:
                    for key, (model, n_types) in models.items():
                        row[key] = logits_of(model, n_types, row["ids"], row["type_ids"])
                rows.append(row)
        (folder / "pairs.json").write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
        print(name, len(rows), rows[0])


if __name__ == "__main__":
    main()
