#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes models/tiny-policy: a PEFT adapter that tunes models/tiny toward stories in which something is eaten.

Maximum likelihood on samples by rejection, then REINFORCE with the reward log phi - log(q / p0). Needs torch, transformers and peft.
"""
import argparse
import json
import pathlib

import torch
from peft import LoraConfig, get_peft_model
from transformers import GPT2LMHeadModel

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROMPT = "once upon a time there was a kind fox . one day the fox met a hen ."
LENGTH, LOG_FLOOR = 4, -4.0


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--out", required=True, type=pathlib.Path)
    out = arguments.parse_args().out
    torch.manual_seed(1)
    torch.set_num_threads(1)
    vocabulary = json.loads((ROOT / "models/tiny/tokenizer.json").read_text())["model"]["vocab"]
    prompt = torch.tensor([[vocabulary[word] for word in PROMPT.split()]])
    n_prompt = prompt.shape[1]

    def sample(model, n):
        texts = prompt.expand(n, -1)
        with torch.no_grad():
            for _ in range(LENGTH):
                p = torch.softmax(model(texts).logits[:, -1], -1)
                texts = torch.cat([texts, torch.multinomial(p, 1)], 1)
        return texts[:, n_prompt:]

    def log_q(model, tokens):
        logits = model(torch.cat([prompt.expand(len(tokens), -1), tokens], 1)).logits[:, n_prompt - 1 : -1]
        return torch.log_softmax(logits, -1).gather(2, tokens[:, :, None])[..., 0].sum(1)

    def is_hit(tokens):
        return (tokens == vocabulary["ate"]).any(1)

    base = GPT2LMHeadModel.from_pretrained(ROOT / "models/tiny").eval()
    hits = torch.empty(0, LENGTH, dtype=torch.long)
    while len(hits) < 120:
        tokens = sample(base, 20000)
        hits = torch.cat([hits, tokens[is_hit(tokens)]])
    lora = LoraConfig(r=2, lora_alpha=4, target_modules=["c_attn"], fan_in_fan_out=True, task_type="CAUSAL_LM", bias="none", lora_dropout=0.0)
    policy = get_peft_model(GPT2LMHeadModel.from_pretrained(ROOT / "models/tiny"), lora).eval()
    adam = torch.optim.Adam([p for p in policy.parameters() if p.requires_grad], lr=5e-3)

    def step(loss):
        adam.zero_grad()
        loss.backward()
        adam.step()

    for _ in range(150):
        step(-log_q(policy, hits[torch.randint(len(hits), (64,))]).mean())
    for group in adam.param_groups:
        group["lr"] = 2e-3
    for _ in range(300):
        tokens = sample(policy, 256)
        scores = log_q(policy, tokens)
        with torch.no_grad():
            reward = torch.where(is_hit(tokens), 0.0, LOG_FLOOR) + log_q(base, tokens) - scores
        step(-((reward - reward.mean()) * scores).mean())
    policy.save_pretrained(out)


if __name__ == "__main__":
    main()
