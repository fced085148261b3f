#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/text_parity/{bpe_*,unigram_*}.json: BPE of every style that models use, and Unigram, trained small.

Needs the PyPI package `tokenizers` (made with 0.23.3). usage: make_bpe_parity_goldens.py
Training breaks ties at random, so a second run makes other tokenizers, with goldens that fit them.
"""
import json
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from make_pre_tokenizer_goldens import LLAMA3, QWEN2
from make_tokenizer_goldens import MISSING, byte_symbol, training_text
from text_parity import strings, write

BYTES = [f"<0x{b:02X}>" for b in range(256)]
ALPHABET = pre_tokenizers.ByteLevel.alphabet()


def corpus():
    """Sentences, and a part of the hard strings so that merges reach into other scripts, digits and runs."""
    return training_text() + [text for i, text in enumerate(strings()) if i % 3 == 0] * 2


def train_bpe(pre, size, special, alphabet=ALPHABET, **options):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, special_tokens=special, limit_alphabet=len(alphabet), show_progress=False, **options)
    tokenizer.train_from_iterator(corpus(), trainer)
    return tokenizer


def split_then_bytes(pattern):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def changed(tokenizer, **model):
    """The same with other members of "model"."""
    document = json.loads(tokenizer.to_str())
    document["model"].update(model)
    return Tokenizer.from_str(json.dumps(document))


def make_byte_level():
    write("bpe_gpt2", train_bpe(pre_tokenizers.ByteLevel(add_prefix_space=False), 700, ["<|endoftext|>"]))
    digits = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    write("bpe_starcoder", train_bpe(digits, 700, ["<|endoftext|>", "<fim_prefix>"]))
    smollm = train_bpe(digits, 600, ["<|endoftext|>", "<|im_start|>"], sorted(set(ALPHABET) - {byte_symbol(b) for b in MISSING}))
    write("bpe_smollm", smollm)
    llama3 = train_bpe(split_then_bytes(LLAMA3), 800, ["<|begin_of_text|>"])
    document = json.loads(llama3.to_str())
    # Words that merges cannot reach, so that ignore_merges shows.
    for word in ("\u0120unreachable", "masterpiece", "\u0120\u0120\u0120\u0120\u0120\u0120\u0120"):
        document["model"]["vocab"].setdefault(word, len(document["model"]["vocab"]))
    document["model"]["ignore_merges"] = True
    write("bpe_llama3", Tokenizer.from_str(json.dumps(document)))
    qwen2 = train_bpe(split_then_bytes(QWEN2), 700, ["<|endoftext|>"])
    qwen2.normalizer = normalizers.NFC()
    write("bpe_qwen2", qwen2)
    # Bytes spelled by the normalizer, before the pieces are cut.
    spelled = train_bpe(pre_tokenizers.Sequence([]), 500, [])
    spelled.normalizer = normalizers.ByteLevel()
    write("bpe_byte_normalizer", spelled)


def train_characters(normalizer, pre, size, special, **model):
    """BPE over characters; the corpus is cut into words for training alone."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Split("\u2581", "merged_with_next") if pre is None else pre
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special, limit_alphabet=150, show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    if pre is None:
        document = json.loads(tokenizer.to_str())
        document["pre_tokenizer"] = None
        tokenizer = Tokenizer.from_str(json.dumps(document))
    return changed(tokenizer, **model)


def llama_decoder(strip=True):
    steps = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    return decoders.Sequence(steps + [decoders.Strip(" ", 1, 0)] * strip)


def make_characters():
    special = ["<unk>", "<s>", "</s>"] + BYTES
    prepend = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    llama2 = train_characters(prepend, None, 900, special, byte_fallback=True, fuse_unk=True)
    # The byte tokens are no added tokens: text that looks like one is text.
    document = json.loads(llama2.to_str())
    document["added_tokens"] = document["added_tokens"][:3]
    llama2 = Tokenizer.from_str(json.dumps(document))
    llama2.decoder = llama_decoder()
    write("bpe_llama2", llama2)

    # Half of the byte tokens are missing: such characters are unknown, and wait after bytes.
    holes = json.loads(llama2.to_str())
    for b in range(0xA0, 0x100):
        del holes["model"]["vocab"][BYTES[b]]
    for fuse in (True, False):
        holes["model"]["fuse_unk"] = fuse
        write(f"bpe_holes_{'fused' if fuse else 'single'}", Tokenizer.from_str(json.dumps(holes)))

    mistral = Tokenizer.from_str(llama2.to_str())
    mistral.normalizer = None
    mistral.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    mistral.add_special_tokens([AddedToken("[INST]", normalized=False), AddedToken("word", normalized=False)])
    write("bpe_mistral", mistral)

    gemma = Tokenizer.from_str(llama2.to_str())
    gemma.normalizer = normalizers.Replace(" ", "\u2581")
    gemma.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    gemma.decoder = llama_decoder(strip=False)
    write("bpe_gemma", gemma)

    # The first BPEs: the end of a word is part of its last symbol; and word pieces built by merges.
    clip = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>", fuse_unk=True))
    clip.normalizer = normalizers.Lowercase()
    clip.pre_tokenizer = pre_tokenizers.Whitespace()
    clip.decoder = decoders.BPEDecoder("</w>")
    clip.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=600, special_tokens=["<unk>"], limit_alphabet=100, end_of_word_suffix="</w>", show_progress=False))
    write("bpe_suffix", clip)
    pieces = Tokenizer(models.BPE(unk_token="<unk>", continuing_subword_prefix="##"))
    pieces.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    pieces.decoder = decoders.WordPiece("##")
    pieces.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=600, special_tokens=["<unk>"], limit_alphabet=100, continuing_subword_prefix="##", show_progress=False))
    write("bpe_prefix", pieces)
    # Neither unknown token nor bytes: what is not in the vocabulary is left out.
    bare = train_characters(None, pre_tokenizers.Whitespace(), 300, ["<unk>"], unk_token=None)
    write("bpe_no_unknown", bare)


def train_unigram(pre, size, special, **model):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=special, unk_token="<unk>", show_progress=False)
    # The trainer takes every character of its corpus; some have to stay unknown.
    kept = [text for text in training_text() + strings()[::5] if max(map(ord, text), default=0) < 0x500]
    tokenizer.train_from_iterator(kept, trainer)
    return changed(tokenizer, **model)


def make_unigram():
    unigram = train_unigram(pre_tokenizers.Metaspace(), 600, ["<unk>", "<s>", "</s>"])
    document = json.loads(unigram.to_str())
    # Scores with all their digits differ between machines: four are enough, and make ties.
    rounded = {}
    for token, score in document["model"]["vocab"]:  # the trainer may find a special token a second time
        rounded.setdefault(token, round(score, 4))
    document["model"]["vocab"] = list(map(list, rounded.items()))
    write("unigram", Tokenizer.from_str(json.dumps(document)))
    whole = Tokenizer.from_str(json.dumps(document))
    whole.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
    write("unigram_whole", whole)
    with_bytes = json.loads(json.dumps(document))
    with_bytes["model"]["byte_fallback"] = True
    with_bytes["model"]["vocab"] += [[token, -30.0] for token in BYTES if token not in rounded]
    fallback = Tokenizer.from_str(json.dumps(with_bytes))
    fallback.decoder = llama_decoder()
    write("unigram_bytes", fallback)
    # Equal scores everywhere: only the order of equals decides.
    ties = json.loads(json.dumps(document))
    ties["model"]["vocab"] = [[token, -2.0 * max(1, len(token))] for token, _ in ties["model"]["vocab"]]
    ties["model"]["vocab"][0][1] = 0.0
    write("unigram_ties", Tokenizer.from_str(json.dumps(ties)))


def main():
    make_byte_level()
    make_characters()
    make_unigram()


if __name__ == "__main__":
    main()
