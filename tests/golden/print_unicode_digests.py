#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints what tests/unit/text/unicode_test.cpp and normalizer_test.cpp expect: SHA-256 of one character for each code point's class, and of
what normalizers make of each code point, as the reference library tokenizers 0.23.3 (PyPI) has them. Run once by developers, about 20 s."""
import hashlib

from tokenizers import Regex
from tokenizers import normalizers
from tokenizers import pre_tokenizers as pre

CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]


def removed_by(step):
    return {c for c in CODE_POINTS if not step.pre_tokenize_str(chr(c))}


def matching(regex):
    return removed_by(pre.Split(Regex(regex), "removed"))


def cut_out_by(step):
    return {c for c in CODE_POINTS if len(step.pre_tokenize_str("a" + chr(c) + "a")) == 3}


def digest(name, sign):
    print(name, hashlib.sha256("".join(sign(c) for c in CODE_POINTS).encode()).hexdigest())


def normalizer_digests():
    """Every code point between a letter and two marks of different classes, a line each, 256 lines at a time."""
    n = normalizers
    bert = lambda **flags: n.BertNormalizer(**{"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False, **flags})
    table = [("NFC", n.NFC()), ("NFD", n.NFD()), ("NFKC", n.NFKC()), ("NFKD", n.NFKD()), ("Lowercase", n.Lowercase()), ("StripAccents", n.StripAccents()),
             ("Nmt", n.Nmt()), ("clean_text", bert(clean_text=True)), ("handle_chinese_chars", bert(handle_chinese_chars=True)),
             ("strip_accents", bert(strip_accents=True)), ("lowercase", bert(lowercase=True)), ("all", n.BertNormalizer())]
    for name, normalizer in table:
        hasher = hashlib.sha256()
        for begin in range(0, len(CODE_POINTS), 256):
            text = "".join(f"a{chr(c)}\u0345\u0316\n" for c in CODE_POINTS[begin:begin + 256])
            hasher.update(normalizer.normalize_str(text).encode())
        print(name, hasher.hexdigest())


def main():
    normalizer_digests()
    letters, numbers, spaces = matching(r"\p{L}"), matching(r"\p{N}"), matching(r"\s")
    digest("char_class", lambda c: "L" if c in letters else "N" if c in numbers else "S" if c in spaces else ".")
    words = {c for c in CODE_POINTS if c not in spaces and len(pre.Whitespace().pre_tokenize_str("a" + chr(c))) == 1}
    for name, members in [("is_word_char", words), ("is_mark", matching(r"\p{M}")),
                          ("is_digit_or_number", cut_out_by(pre.Digits(individual_digits=True))),
                          ("is_punctuation", cut_out_by(pre.Punctuation()))]:
        digest(name, lambda c: "01"[c in members])


if __name__ == "__main__":
    main()
