#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes models/tiny-reward: a reward model for the stories of models/tiny, from preferences between pairs of them.

usage: make_tiny_reward.py [--out FOLDER] [--make-tiny PROGRAM]

Needs torch, transformers and safetensors from PyPI in a virtual environment, and build/release/make_tiny for the stories. Of two stories
the one is preferred in which more good and fewer bad things happen; the model learns from the pairs alone, by maximum likelihood of
Bradley and Terry's model, as reward models of RLHF do.
"""
import argparse
import pathlib
import shutil
import subprocess

import torch
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForSequenceClassification

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOOD, BAD = {"helped", "gave", "friends", "happy"}, {"bit", "stole", "ate", "cried", "sad"}
STORIES, STEPS, PAIRS, HELD_OUT = 6000, 600, 128, 1000


def preference(story):
    words = story.split()
    return sum(w in GOOD for w in words) - sum(w in BAD for w in words)


def rewards(model, ids):
    """At the last real token of each story; those behind it do not change it."""
    longest = max(map(len, ids))
    padded = torch.tensor([row + [0] * (longest - len(row)) for row in ids])
    scores = model.score(model.model(padded).last_hidden_state)[..., 0]
    return scores[torch.arange(len(ids)), torch.tensor([len(row) - 1 for row in ids])]


def begin(description, folder, n_stories):
    """The command's options, and the stories; numbers drawn from here on are always the same."""
    options = argparse.ArgumentParser(description=description.split("\n")[0])
    options.add_argument("--out", type=pathlib.Path, default=ROOT / folder)
    options.add_argument("--make-tiny", default=str(ROOT / "build/release/make_tiny"))
    given = options.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(1)
    text = subprocess.run([given.make_tiny, "corpus", "--stories", str(n_stories)], check=True, capture_output=True, text=True).stdout
    return given, text.strip().split("\n")


def learn(model, steps, learning_rate, margins_of_batch):
    """Maximum likelihood of the pairs that margins_of_batch() draws: how much more the better one is worth to the model."""
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        loss = -torch.nn.functional.logsigmoid(margins_of_batch()).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 99:
            print(step + 1, loss.item(), flush=True)


def main():
    given, whole = begin(__doc__, "models/tiny-reward", STORIES + HELD_OUT)
    # Half of them are cut anywhere: a reward model sees what was written so far.
    cut = torch.randint(8, 40, (STORIES + HELD_OUT,)).tolist()
    stories = [" ".join(s.split()[: c if i % 2 else None]) for i, (s, c) in enumerate(zip(whole, cut))]
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(ROOT / "models/tiny/tokenizer.json"))
    ids = [tokenizer(s)["input_ids"] for s in stories]
    worth = torch.tensor([float(preference(s)) for s in stories])
    model = Qwen3ForSequenceClassification(Qwen3Config(
        vocab_size=48, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=8,
        max_position_embeddings=64, num_labels=1, pad_token_id=0, bos_token_id=None, eos_token_id=0, tie_word_embeddings=True))

    def margins(a, b):
        r = rewards(model, [ids[i] for i in a.tolist() + b.tolist()])
        margin = (r[: len(a)] - r[len(a):]) * torch.sign(worth[a] - worth[b])
        return margin

    def margins_of_batch():
        a, b = torch.randint(STORIES, (2, PAIRS))
        keep = worth[a] != worth[b]
        return margins(a[keep], b[keep])

    learn(model, STEPS, 0.01, margins_of_batch)
    with torch.no_grad():
        a = torch.arange(STORIES, STORIES + HELD_OUT // 2)
        b = a + HELD_OUT // 2
        keep = worth[a] != worth[b]
        print("held-out pairs in the right order:", (margins(a[keep], b[keep]) > 0).float().mean().item())
    model.save_pretrained(given.out)
    shutil.copy(ROOT / "models/tiny/tokenizer.json", given.out)


if __name__ == "__main__":
    main()
