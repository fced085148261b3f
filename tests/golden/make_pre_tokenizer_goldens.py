#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goldens for pre-tokenizers from the reference library: tokenizers 0.23.3 (PyPI). Run once by developers.

usage: make_pre_tokenizer_goldens.py [FOLDER]   FOLDER: the full answers go there as well, to look differences up

Writes into tests/golden/pre_tokenizers/:
  strings.json   more than 2,000 hard strings
  digests.json   [{"pre_tokenizer": ..., "n_strings": how many of the strings were tried, "digests": of the pieces}]
Digests: 8 hexadecimal digits for each 32 strings in a row, the first ones of the SHA-256 of all their pieces, each followed by \\x1f, and
\\x1e after those of a string.
"""
import hashlib
import json
import pathlib
import random
import sys
import unicodedata

from tokenizers import Tokenizer

from make_tokenizer_goldens import hard_strings, training_text

HERE = pathlib.Path(__file__).parent / "pre_tokenizers"


def digests(lists):
    """lists: for each string the items it gives."""
    out = ""
    for begin in range(0, len(lists), 32):
        text = "".join("".join(item + "\x1f" for item in items) + "\x1e" for items in lists[begin:begin + 32])
        out += hashlib.sha256(text.encode()).hexdigest()[:8]
    return out


def code_snippets():
    return [
        "for (int i = 0; i < 10; ++i) { a[i] += b[i] * c->d; }\n", "#!/bin/sh\nset -e\nexec \"$@\"\n", "x = {k: v for k, v in d.items() if v}\n",
        "SELECT * FROM t WHERE a >= 10 AND b <> 'x';", "<div class=\"a b\">\n\t<p>&nbsp;</p>\r\n</div>", "std::vector<std::string_view>&&",
        "template <class T, int N = 3>\nconstexpr auto f(T&& t) noexcept -> decltype(auto)\n{\n    return t;\n}\n\n\n", "a=b==c!=d<=e>=f&&g||!h",
        "/* comment */ // another\n", "\\begin{equation}\n  \\sum_{i=1}^{n} x_i^2 \\leq 1\n\\end{equation}", "https://example.org/a?b=c&d=%20e#f",
        "2026-11-23T15:23:01.123Z", "192.168.0.1:8080", "foo_bar fooBar FooBar FOO_BAR foo-bar", "0b1010 0o17 0xDEAD_BEEF 1'000'000 1e-9f",
        "\"quoted \\\"string\\\" with \\u00e9\"", "'single' `back` \"double\"", "CamelCaseHTTPServer2Go", "\x1b[31mred\x1b[0m", "a\r\nb\rc\n\rd\n\n\re",
    ]


def parity_strings():
    """The strings, and how many of them, in front, hold no character that is newer than Unicode 14."""
    out = hard_strings() + code_snippets()
    rng = random.Random(2026)
    # Every general category: a few characters of each, in several surroundings.
    by_category = {}
    for c in range(0x110000):
        if not 0xD800 <= c <= 0xDFFF:
            by_category.setdefault(unicodedata.category(chr(c)), []).append(chr(c))
    sample = [ch for members in by_category.values() for ch in rng.sample(members, min(12, len(members)))]
    sample += [chr(c) for c in (0x1C89, 0x10D40, 0x11DE0, 0x16FF4, 0x897, 0x2EBF0, 0x1B4E, 0x2E5D, 0x166D, 0x111C9, 0x24B6, 0x1F150)]
    for ch in sample:
        out += [ch, f"a{ch}b", f"1 {ch}2{ch} {ch}", f"{ch}{ch}s"]
    # Contractions in any case, with look-alikes.
    for tail in ("s", "S", "t", "re", "RE", "Re", "ve", "VE", "m", "M", "ll", "LL", "lL", "d", "D", "\u017f", "\u212a", "x"):
        out += [f"we'{tail}", f"WE'{tail}ABLE", f" '{tail}", f"'{tail}'{tail}", f"\u2019{tail}"]
    # Runs of spaces, line ends, digits, letters in all lengths that a pattern might care about.
    for n in (1, 2, 3, 4, 5, 6, 7, 8, 16, 63, 64, 65, 200):
        out += [" " * n + "x", "x" + " " * n, "x" + "\n" * n + "y", "x" + "\t" * n, "7" * n, "a" * n, "." * n + "\n", "\r\n" * n + " z", "é" * n, "🙂" * n]
    # Mixtures.
    alphabet = list("abcdehilnorstuw") * 2 + list("THESAX 019 .,!?'\"-_()[]{}<>|&*/\\\n\r\t    ") + [
        "é", "ß", "ı", "İ", "я", "Ж", "中", "国", "の", "한", "국", "ก", "ิ", "ا", "ً", "ש", "ָ", "½", "٣", "②", "🙂", "👩\u200d👧", "🇩🇪", "\u00a0", "\u3000", "\u2028",
        "\u0301", "\u0323", "\u200b", "\u200d", "\ufeff", "\u00ad", "\x00", "\x07", "\x1c", "\x7f", "\x85", "▁", "Ġ", "<0x41>", "<unk>", "<s>", "'s", "'LL", " the", "ing ", "\r\n", "  "]
    for length in (2, 3, 5, 8, 13, 21, 40):
        out += ["".join(rng.choice(alphabet) for _ in range(rng.randint(1, length))) for _ in range(90)]
    out += rng.sample(training_text(), 60)
    # Characters that Python's own tables (Unicode 14, as PCRE2's) do not know come last.
    is_new = lambda text: any(unicodedata.category(ch) == "Cn" for ch in text)
    return sorted(dict.fromkeys(out), key=is_new), sum(not is_new(text) for text in dict.fromkeys(out))


GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
R50K = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + TAIL
QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + TAIL
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN35 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
          r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]


def split(pattern, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}


def byte_level(prefix=False, regex=True):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}


def metaspace(scheme, cut=True, mark="\u2581"):
    return {"type": "Metaspace", "replacement": mark, "prepend_scheme": scheme, "split": cut}


def sequence(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


def pre_tokenizer_configs():
    out = [byte_level(p, r) for p in (False, True) for r in (False, True)]
    out += [split({"Regex": p}, b, i) for p in (GPT2, R50K, LLAMA3, QWEN2) for b, i in (("Isolated", False), ("Removed", True))]
    patterns = [{"String": " "}, {"String": "ab"}, {"String": "."}, {"String": ""}, {"Regex": r"\s+"}, {"Regex": r"\d"}, {"Regex": r"x*"}, {"Regex": r"\p{N}"},
                {"Regex": r"\p{N}{1,3}"}, {"Regex": r"\p{N}+"}, {"Regex": r"\w+|[^\w\s]"}]
    out += [split(p, b, i) for p in patterns for b in BEHAVIORS for i in (False, True)]
    out += [split({"Regex": r}) for r in (
        O200K, r"\b", r"\B", r"(?<=\w)(?=\W)", r"[[:punct:]]", r"[\s\w]+", r"\h+", r"^.|.$", r"\u4e2d", r"a{,2}b", r"(?i)THE", r"[^\S ]+", r"\p{Han}+|\p{Arabic}", r"[]a]", r"\R")]
    out += [{"type": "Digits", "individual_digits": d} for d in (False, True)]
    out += [{"type": "Whitespace"}, {"type": "WhitespaceSplit"}] + [{"type": "Punctuation", "behavior": b} for b in BEHAVIORS]
    out += [metaspace(s, c, m) for s in ("always", "first", "never") for c in (True, False) for m in ("\u2581", "_")]
    out += [{"type": "CharDelimiterSplit", "delimiter": d} for d in ("-", " ", "é")] + [{"type": "FixedLength", "length": n} for n in (1, 5)]
    out += [sequence(), sequence({"type": "Digits", "individual_digits": True}, byte_level()), sequence({"type": "WhitespaceSplit"}, metaspace("always")),
            sequence({"type": "WhitespaceSplit"}, metaspace("first")), sequence({"type": "Digits", "individual_digits": False}, metaspace("first")),
            sequence({"type": "Punctuation", "behavior": "Contiguous"}, metaspace("first", False), byte_level(True, False)),
            sequence(byte_level(False, False), {"type": "Whitespace"}), sequence(metaspace("first"), split({"String": "\u2581"}, "Removed"))]
    out += [split({"Regex": r}) for r in (QWEN35, TEKKEN)]
    # Files from before prepend_scheme; this version of the library refuses False.
    out += [{"type": "Metaspace", "replacement": "\u2581", "add_prefix_space": True}]
    return out


def make_pre_tokenizer(config):
    document = json.loads(Tokenizer.from_str('{"model": {"type": "BPE", "vocab": {}, "merges": []}}').to_str())
    document["pre_tokenizer"] = config
    return Tokenizer.from_str(json.dumps(document)).pre_tokenizer


def write_json(name, document, folder=HERE):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(document, ensure_ascii=True, separators=(",", ":")) + "\n")


def is_known(config):
    """Whether twistor has a scanner for it; other patterns go through PCRE2 and know the Unicode that PCRE2 knows."""
    patterns = [step["pattern"] for step in config.get("pretokenizers", [config]) if step["type"] == "Split"]
    return all("String" in p or p["Regex"] in (GPT2, R50K, LLAMA3, QWEN2, r"\p{N}", r"\p{N}+", r"\p{N}{1,3}", r"\s+") for p in patterns)


def write_pre_tokenizers(texts, n_old, details):
    goldens, full = [], []
    for config in pre_tokenizer_configs():
        step = make_pre_tokenizer(config)
        n = len(texts) if is_known(config) else n_old
        pieces = [[piece for piece, _ in step.pre_tokenize_str(text) if piece] for text in texts[:n]]
        goldens.append({"pre_tokenizer": config, "n_strings": n, "digests": digests(pieces)})
        full.append(pieces)
    write_json("digests.json", goldens)
    if details:
        write_json("full.json", full, details)
    print(len(goldens), "pre-tokenizers")


def main():
    details = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else None
    texts, n_old = parity_strings()
    write_json("strings.json", texts)
    print(len(texts), "strings,", n_old, "of them of Unicode 14")
    write_pre_tokenizers(texts, n_old, details)


if __name__ == "__main__":
    main()
