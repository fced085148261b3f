#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Strings and files of the parity tests of tokenizers (tests/unit/text/parity_test.cpp).

Run by itself it makes text_parity/strings.json, once for all tokenizers. make_*_parity.py use write() to store what the reference library
`tokenizers` 0.23.3 (PyPI) does with each string. Nothing is downloaded from a hub.

text_parity/NAME.json: "tokenizer": a tokenizer.json, or null where the file is too large to keep here; "digests": for each string six
digits of the SHA-256 of its ids ("1,2,3") and six of that of the decoded text; "samples": {index: [ids, ids with the template, type ids]}.
"""
import hashlib
import json
import pathlib
import random
import sys
import unicodedata

FOLDER = pathlib.Path(__file__).parent / "text_parity"


def of_every_category(rng):
    by_category = {}
    for value in range(0x110000):
        if not 0xD800 <= value <= 0xDFFF:
            by_category.setdefault(unicodedata.category(chr(value)), []).append(chr(value))
    for category in sorted(by_category):
        members = by_category[category]
        for c in rng.sample(members, min(22, len(members))):
            yield rng.choice(["a{0}b", " {0}", "{0}{0}", "1{0}2", "x {0} y", "{0}a {0}1", "A{0}. {0}"]).format(c)


def random_code_points(rng):
    blocks = [(0x20, 0x7F), (0x80, 0x250), (0x300, 0x370), (0x370, 0x600), (0x600, 0x900), (0x900, 0x1200), (0x1E00, 0x2000), (0x2000, 0x2C00),
              (0x3000, 0x3200), (0x4E00, 0x9FFF), (0xA000, 0xD7FF), (0xE000, 0x10000), (0x10000, 0x12000), (0x1D000, 0x1F700), (0x20000, 0x2FA20),
              (0xE0000, 0xE0200), (0, 0x110000)]
    for _ in range(330):
        n = rng.randint(1, 14)
        wide = rng.random() < 0.3
        pick = lambda: rng.randrange(0x110000) if wide else rng.randrange(*rng.choice(blocks))
        values = [v for v in (pick() for _ in range(n)) if not 0xD800 <= v <= 0xDFFF]
        yield "".join(rng.choice(["", "", " "]) + chr(v) for v in values)


def mixtures(rng):
    words = ("the The fox JUMPED over don't Don'T I'll you've 12 3.14 1,024 2024-11-23 x=1; naïve café Übermut straße İstanbul ΟΔΥΣΣΕΥΣ ὀξεῖα "
             "Привет ЁЖ שלום עוֹלָם مرحبا مَرْحَبًا हिन्दी ภาษาไทย 日本語 中文字 한국어 각 カタカナ ｶﾞ ﬁne ½ x² Ⅷ ٣٤ 🙂 👩‍👩‍👧 🏳️‍🌈 🇩🇪 👍🏽 e\u0301 a\u0308\u0323 "
             "C++20 a_b foo() [x] {y} <z> \\n // # @me http://x.y/z?q=1 50% $5 €5 ... --- ?! (a) “q” «r» … — ‐ ﷺ ㎏ ① ㋿ 𝔘𝔫𝔦 ªº ǅ ß ẞ ŉ").split()
    gaps = [" ", " ", " ", "  ", "", "\n", "\t", "\r\n", "\u00a0", "\u3000", "\u200b", "\u2028", " \n ", "\u200d", "\u0085"]
    for _ in range(420):
        yield "".join(rng.choice(words) + rng.choice(gaps) for _ in range(rng.randint(1, 9)))


def marks(rng):
    bases = "aeAoIi中אبकกㄱ가ᄀ \u00c5\u1e9b\u0345"
    pool = [chr(v) for v in range(0x300, 0x370)] + list("\u0591\u05b0\u064b\u0651\u093c\u094d\u0e38\u0e48\u0f71\u302a\u3099\u309a\u1161\u11a8\u1ab0\u1dc0\u20d0\ufe20")
    for _ in range(170):
        yield "".join(rng.choice(bases) + "".join(rng.choice(pool) for _ in range(rng.randint(0, 5))) for _ in range(rng.randint(1, 5)))


def runs(rng):
    atoms = [" ", "\n", "\t", "1", "a", "A", ".", "é", "中", "🙂", "'", "_", "\u0301", "\u00a0", "ab", "the ", " the", "12 ", "\r\n", "#", "-", "=", "Ġ", "▁", "##", "\x00", "\x01"]
    for _ in range(190):
        yield "".join(rng.choice(atoms) * rng.choice([1, 1, 2, 3, 5, 17, 60]) for _ in range(rng.randint(1, 4)))


def code(rng):
    lines = ["def f(x, *, y=0):", "    return x**2 + y  # ok", "\tif (a[i] != b->c) { ++n; }", "std::vector<std::int64_t> v{1, 2};", "SELECT * FROM t WHERE a='x';",
             "<div class=\"a\">&nbsp;</div>", "x = {'k': [1, 2.5e-3, None]}", "#!/usr/bin/env bash", "$ ls -la | grep '^d'", "\\frac{a}{b} \\alpha", "0xDEADBEEF",
             "foo_bar.bazQux()", "/* c */ // d", "a\\tb\\n", "@decorator", "{{ x | y }}", "let s = r#\"q\"#;", "- [ ] item", "| a | b |", "```c", "    ", "\t\t", ""]
    for _ in range(140):
        yield rng.choice(["\n", "\r\n", "\n\n"]).join(rng.choice(lines) for _ in range(rng.randint(1, 5)))


def with_added_tokens(rng):
    parts = ["<mask>", "[MASK]", "[CLS]", "[SEP]", "[UNK]", "[PAD]", "<s>", "</s>", "<pad>", "<unk>", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<unused0>", "word", "LEFT", "RIGHT",
             "BOTH", "Norm", "norm", "NORM", "a", "b", " ", "  ", "\n", "\u3000", ".", "é", "1", "_", "word's", "<", "[", "|>", "<0x41>", "<tool>", "ALONE", "Ünorm", "unorm"]
    for _ in range(330):
        yield "".join(rng.choice(parts) for _ in range(rng.randint(1, 8)))


def texts(rng):
    subjects = ["A masterpiece", "The plot", "An utterly predictable story", "her performance", "It", "this film", "Nobody", "The director's cut"]
    verbs = ["isn't", "was", "feels like", "couldn't be", "has never been", "might've been", "is not so much", "would've made"]
    objects = ["a triumph of style over substance", "unwatchable", "the year's best comedy", "worth $12.50", "as funny as it thinks it is", "two hours too long",
               "well-acted and re-watchable", "warm, witty, and wise", "an 87-minute commercial"]
    for _ in range(160):
        yield f"{rng.choice(subjects)} {rng.choice(verbs)} {rng.choice(objects)}{rng.choice(['.', '!', ' ...', '?', ' .', ' -- really'])}"


def make_strings():
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    from make_tokenizer_goldens import hard_strings

    rng = random.Random(20240711)
    out = hard_strings()
    for part in [of_every_category, random_code_points, mixtures, marks, runs, code, with_added_tokens, texts]:
        out += part(rng)
    return list(dict.fromkeys(out))


def strings():
    return json.loads((FOLDER / "strings.json").read_text(encoding="utf-8"))


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def write(name, tokenizer, keep=True):
    """Stores what `tokenizer` does with every string; keep: its tokenizer.json goes into the file."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    digests, samples = "", {}
    for i, text in enumerate(strings()):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        digests += digest(",".join(map(str, ids))) + digest(tokenizer.decode(ids, skip_special_tokens=False))
        if i % 61 == 7:
            full = tokenizer.encode(text)
            samples[i] = [ids, full.ids, full.type_ids]
    document = {"tokenizer": json.loads(tokenizer.to_str()) if keep else None, "samples": samples, "digests": digests}
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps(document, ensure_ascii=True, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{name}: {len(digests) // 12} strings, {path.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    made = make_strings()
    rows = ",\n".join(json.dumps(text, ensure_ascii=False) for text in made)
    (FOLDER / "strings.json").write_text("[" + rows + "]\n", encoding="utf-8")
    print(len(made), "strings")
