#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/reward/: tiny sequence classifiers on decoders with random weights, and what they say of texts.

usage: make_reward_goldens.py [NAME...]      (default: all)

Needs torch, transformers and safetensors from PyPI in a virtual environment (made with torch 2.15.0, transformers 5.24.0). The tokenizer
is that of models/tiny. texts.json has the texts and their logits, computed in float64 one text at a time, without padding.
"""
import json
import pathlib
import shutil
import sys

import torch
from transformers import (Gemma2Config, Gemma2ForSequenceClassification, Gemma3TextConfig, Gemma3TextForSequenceClassification, LlamaConfig,
                          LlamaForSequenceClassification, MistralConfig, MistralForSequenceClassification, Olmo2Config, Olmo2ForSequenceClassification,
                          Phi3Config, Phi3ForSequenceClassification, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForSequenceClassification, Qwen3Config,
                          Qwen3ForSequenceClassification, SmolLM3Config, SmolLM3ForSequenceClassification)

HERE = pathlib.Path(__file__).parent / "reward"
TINY = pathlib.Path(__file__).parents[2] / "models/tiny"
SIZES = dict(vocab_size=48, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
             max_position_embeddings=24, pad_token_id=0, eos_token_id=0, bos_token_id=None)
TEXTS = ["once", "once upon a time there was a fox", "the fox ate the hen .", "a sad hen ran home . <end>", "the fox ate the hen <end> <end>",
         "a time " * 20]
KINDS = {"llama": (LlamaConfig, LlamaForSequenceClassification, 1, {}), "qwen2": (Qwen2Config, Qwen2ForSequenceClassification, 3, {}),
         "mistral": (MistralConfig, MistralForSequenceClassification, 1, {"sliding_window": 6}),
         "qwen3": (Qwen3Config, Qwen3ForSequenceClassification, 1, {"head_dim": 6}),
         "gemma2": (Gemma2Config, Gemma2ForSequenceClassification, 1, {"head_dim": 8, "sliding_window": 6, "attn_implementation": "eager"}),
         "gemma3": (Gemma3TextConfig, Gemma3TextForSequenceClassification, 1, {"head_dim": 8, "sliding_window": 6, "attn_implementation": "eager"}),
         "phi3": (Phi3Config, Phi3ForSequenceClassification, 1, {}),
         "olmo2": (Olmo2Config, Olmo2ForSequenceClassification, 1, {}),
         "smollm3": (SmolLM3Config, SmolLM3ForSequenceClassification, 1, {"no_rope_layers": [0, 1]})}


def main():
    for number, (name, (config_class, model_class, n_labels, more)) in enumerate(KINDS.items()):
        if len(sys.argv) > 1 and name not in sys.argv[1:]:
            continue
        torch.manual_seed(number + 1)
        folder = HERE / name
        model = model_class(config_class(**SIZES, num_labels=n_labels, **more))
        for p in model.parameters():
            torch.nn.init.normal_(p, 0.0, 0.4)
        model.eval().save_pretrained(folder)
        shutil.copy(TINY / "tokenizer.json", folder)
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
        model = model.double()
        logits = []
        for text in TEXTS:
            ids = torch.tensor([tokenizer(text)["input_ids"][:SIZES["max_position_embeddings"]]])
            with torch.no_grad():  # the logit at the last token by position, also where that token is the one that pads
                logits.append(model.score(model.model(ids).last_hidden_state)[0, -1].tolist())
        (folder / "texts.json").write_text(json.dumps({"texts": TEXTS, "logits": logits}, indent=1) + "\n")


if __name__ == "__main__":
    main()
