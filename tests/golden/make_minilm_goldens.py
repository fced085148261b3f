#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/minilm_similarities.json: cosines of ten pairs of texts by all-MiniLM-L6-v2.

usage: make_minilm_goldens.py FOLDER     what `launch/get_model.sh minilm` prints

Needs torch, transformers, tokenizers and safetensors from PyPI in a virtual environment (made with torch 2.11.0,
transformers 5.23.0, tokenizers 0.23.3). The reference runs in float64, one text at a time, with the folder's tokenizer, whose padding
is switched off and whose truncation is set to the 256 tokens of sentence_bert_config.json.
"""
import json
import pathlib
import sys

import torch
from tokenizers import Tokenizer
from transformers import BertModel

PAIRS = [
    ("That is a happy person", "That is a happy dog"),
    ("That is a happy person", "That is a very happy person"),
    ("That is a happy person", "Today is a sunny day"),
    ("The movie was a delight from beginning to end.", "I wanted my money back after ten minutes."),
    ("How do I reset my password?", "Steps to recover access to your account"),
    ("", "An empty text has a vector too."),
    ("Smörgåsbord, café & naïve 東京", "smorgasbord cafe naive tokyo"),
    ("🙂🙂", ":-) :-)"),
    ("for (int i = 0; i < n; ++i) sum += x[i];", "Add up all elements of an array."),
    ("the quick brown fox jumps over the lazy dog; " * 60, "a fox jumps over a dog"),
]


def main():
    folder = pathlib.Path(sys.argv[1])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length=256)
    model = BertModel.from_pretrained(folder, add_pooling_layer=False).double().eval()

    def vector(text):
        ids = torch.tensor([tokenizer.encode(text).ids])
        with torch.no_grad():
            return torch.nn.functional.normalize(model(ids).last_hidden_state[0].mean(0), dim=0)

    rows = [json.dumps([a, b, float(vector(a) @ vector(b))], ensure_ascii=True) for a, b in PAIRS]
    (pathlib.Path(__file__).parent / "minilm_similarities.json").write_text("[" + ",\n".join(rows) + "]\n")


if __name__ == "__main__":
    main()
