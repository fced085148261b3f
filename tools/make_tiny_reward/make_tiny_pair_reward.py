#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes models/tiny-pair-reward: a reward model of prompts with answers, in the form of DeBERTa-v3, for the stories of models/tiny.

usage: make_tiny_pair_reward.py [--out FOLDER] [--make-tiny PROGRAM]

Needs what make_tiny_reward.py needs. A story's beginning is the prompt, the rest of some story its answer, read as [CLS] prompt [SEP] answer
[SEP]. Of two answers to a prompt the one is preferred that goes on with the animal that the prompt named last, and in which more good and
fewer bad things happen; what happened in the prompt does not count. The model learns from such pairs by maximum likelihood of Bradley and
Terry's model.
"""
import json

import torch
from transformers import DebertaV2Config, DebertaV2ForSequenceClassification, PreTrainedTokenizerFast

from make_tiny_reward import HELD_OUT, ROOT, begin, learn, preference

ANIMALS = {"fox", "wolf", "bear", "dog", "mouse", "hen"}
STORIES, STEPS, BATCH = 6000, 900, 64


def worth(prompt, answer):
    named = [word for word in prompt.split() if word in ANIMALS]
    return preference(answer) + (3 if named and named[-1] in answer.split() else 0)


def pair_tokenizer():
    """The words of models/tiny, and two tokens for the form of pairs."""
    document = json.loads((ROOT / "models/tiny/tokenizer.json").read_text())
    n = len(document["model"]["vocab"])
    for i, name in enumerate(["[CLS]", "[SEP]"]):
        document["model"]["vocab"][name] = n + i
        document["added_tokens"].append({**document["added_tokens"][0], "id": n + i, "content": name})
    special, text = lambda name, kind: {"SpecialToken": {"id": name, "type_id": kind}}, lambda name, kind: {"Sequence": {"id": name, "type_id": kind}}
    single = [special("[CLS]", 0), text("A", 0), special("[SEP]", 0)]
    document["post_processor"] = {
        "type": "TemplateProcessing", "single": single, "pair": [*single, text("B", 1), special("[SEP]", 1)],
        "special_tokens": {name: {"id": name, "ids": [n + i], "tokens": [name]} for i, name in enumerate(["[CLS]", "[SEP]"])}}
    return document


def rewards(model, tokenizer, pairs):
    read = tokenizer([p for p, _ in pairs], [a for _, a in pairs], padding=True, return_tensors="pt")
    return model(input_ids=read["input_ids"], attention_mask=read["attention_mask"]).logits[:, 0]


def main():
    given, whole = begin(__doc__, "models/tiny-pair-reward", STORIES + HELD_OUT)
    stories = [story.split() for story in whole]
    given.out.mkdir(exist_ok=True)
    (given.out / "tokenizer.json").write_text(json.dumps(pair_tokenizer(), indent=2) + "\n")
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(given.out / "tokenizer.json"), pad_token="<end>")
    model = DebertaV2ForSequenceClassification(DebertaV2Config(
        vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=96, type_vocab_size=0,
        relative_attention=True, position_buckets=16, max_relative_positions=-1, pos_att_type=["p2c", "c2p"], share_att_key=True, norm_rel_ebd="layer_norm",
        position_biased_input=False, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_labels=1, pad_token_id=0, bos_token_id=None,
        eos_token_id=None))

    def draw(n, first, last):
        """Prompts, each with two answers of different worth."""
        out = []
        while len(out) < n:
            at, cut, others, cuts = torch.randint(first, last, (1,)).item(), torch.randint(6, 30, (1,)).item(), torch.randint(first, last, (2,)), torch.randint(6, 30, (4,))
            prompt = " ".join(stories[at][:cut])
            answers = [" ".join(stories[o][c:c + 4 + length]) for o, c, length in zip(others.tolist(), cuts[:2].tolist(), cuts[2:].tolist())]
            if worth(prompt, answers[0]) != worth(prompt, answers[1]):
                out.append((prompt, *sorted(answers, key=lambda answer: worth(prompt, answer))))
        return out

    def margins(drawn):
        r = rewards(model, tokenizer, [(p, better) for p, _, better in drawn] + [(p, worse) for p, worse, _ in drawn])
        return r[: len(drawn)] - r[len(drawn):]

    learn(model, STEPS, 0.006, lambda: margins(draw(BATCH, 0, STORIES)))
    with torch.no_grad():
        held_out = draw(1000, STORIES, STORIES + HELD_OUT)
        print("held-out pairs in the right order:", (margins(held_out) > 0).float().mean().item())
        other = [(held_out[i - 1][0], worse, better) for i, (_, worse, better) in enumerate(held_out)]
        print("the same answers to another prompt:", (margins(other) > 0).float().mean().item())
    model.save_pretrained(given.out)


if __name__ == "__main__":
    main()
