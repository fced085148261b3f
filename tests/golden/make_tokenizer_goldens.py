#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/tokenizers/: small tokenizers and what the reference implementation does with hard strings.

Needs the PyPI package `tokenizers` (made with 0.23.3) in a virtual environment; nothing is downloaded from a hub.
Each folder gets tokenizer.json and cases.json: a list of [text, ids, decoded]; decoded is null where it equals the text
or where the reference replaces broken UTF-8.
"""
import json
import pathlib
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

HERE = pathlib.Path(__file__).parent / "tokenizers"
GPT2 = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
# Byte values without a symbol in SmolLM2's vocabulary.
MISSING = [4, 6, 19, 20, 22, 29, 192, 193, 241, 242] + list(range(245, 256))


def training_text():
    rng = random.Random(3)
    who = ["the little fox", "an old sailor", "Mia", "the miller's son", "a very tired dragon", "Jürgen", "Борис", "小明"]
    did = ["found", "lost", "didn't like", "couldn't find", "painted", "ate", "sold", "isn't afraid of", "we've got"]
    what = ["a red boat", "12 apples", "the moon", "1,024 bytes", "an unhappy song", "its own shadow", "3.14 pies", "кашу", "苹果"]
    end = [".", "!", "?", "...", ", and then it rained.", "; nobody knew why.", ".\n\n", " :-)\n"]
    return [f"{rng.choice(who)} {rng.choice(did)} {rng.choice(what)}{rng.choice(end)}" for _ in range(3000)]


def hard_strings():
    out = [
        "", " ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", " \n ", "\n \n", "a", " a", "a ", "  a", "a  b", "a   b ", "a\tb",
        "a\n\nb", "a \n b", "\ta", " \ta", "a\u00a0b", "a\u00a0\u00a0b", "\u00a0a", "a\u2003b", "a\u3000b", "a\u0085b",
        "a\u2028b\u2029c", "a\u200bb", "a\u180eb", "a\u1680b", "\ufeffa", "a\x1cb", "a\x1fb", "a\x0bb\x0cc", "a\x00b", "\x7f",
        "it's", "it'S", "IT'S", "we've they'll I'm you'd don't they're", "'s", "''s", "'''s", " 's", "' s", "x'x", "'tis", "'re",
        "'r", "'l", "'ll'll", "it\u2019s", "a'sb", "1's", "!'s", "! 's", "dogs' 'quoted'", "'d've",
        "1", "12", "123", "1 2", " 1", "  1", "1.5", "1,024", "3.14abc", "abc123def", "0x1F", "1e-5", "½", "4 ½", "x²", "Ⅷ", "٣٤", "๑๒",
        "一二", "①②", "1٣", "₁₂", "𝟘𝟙", "1a2b", "a1 b2", " 12 34", "1\n2", "1 \n 2",
        "Hello, world!", "Hello , world !", "...", " ...", "...a", "!?!?", "a-b", "a--b", "a_b", "__init__", "#include <x>", "C++20", "$5.00",
        "50%", "a@b.c", "http://x.y/z?q=1&r=2", "{\"a\": [1, 2]}", "\\n", "\\\\", "`x`", "~", "^_^", "(a)(b)", "[ ]", "a/b\\c", "<b>bold</b>",
        "if (x == 1) {\n    return  x;\n}\n", "def f(x):\n\treturn x\n\n\n", "    indented", "trailing   ", "trailing\n", "trailing \n\n ",
        "äöü", "Ä", "a\u0308", "é", "e\u0301", "e\u0301\u0301", " \u0301", "\u0301a", "ﬁ", "ß", "İ", "ŉ", "ǆ", "ʰ", "ª", "º", "ꟲ",
        "Привет, мир!", "Γειά σου", "שלום", "مرحبا بالعالم", "مَرْحَبًا", "你好，世界", "こんにちは", "カタカナ", "안녕하세요", "각", "नमस्ते", "ক্ষ",
        "ภาษาไทย", "ខ្មែរ", "አማርኛ", "ᎣᏏᏲ", "Việt Nam", "Cửa", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢", "🙂", " 🙂", "🙂🙂", "👩‍👩‍👧", "🏳️‍🌈", "🇩🇪🇫🇷", "👍🏽", "☃", "→", "∀x∈ℝ",
        "a🙂b", "🙂a", "1🙂", "‼", "…", "—", "“q”", "«q»", "„q“", "¿qué?", "€5", "£", "№", "℃", "™", "°C", "µm", "x̄", "ﷺ", "\U000e0041",
        "\ue000", "\U0010ffff", "\ufffd", "\uffff", "\u0378", "\x04", "a\x04b", "\x06\x13", "th\x04e", "\x1d", "\U000c0000",
        "<|endoftext|>", "a<|endoftext|>b", " <|endoftext|> ", "<|endoftext|><|endoftext|>", "<|endoftext", "<|endoftext|", "<<|endoftext|>>",
        "<|im|>", "<|im|>start", "<|im|>start|>", "x<|im|>y", "<pad>", "a <pad> b", "a<pad>b", "<mask>", "a <mask> b", "a  <mask>\n b", "word", "words",
        "a word", "aword", "word word", "swordfish", "a word.", "éword", "word's", "LEFT", "a  LEFT b", "a RIGHT  b", "a\tRIGHT\n\nb", "LEFTRIGHT",
        "the", " the", "the the", "thethe", "The THE tHe", "th e", "t he", "little", " littl", "unhappy", "shadowshadow", "dragon dragons dragon's",
        "a" * 50, " " * 40, "\n" * 20, "ab" * 40, "." * 33, "1" * 30, "é" * 20, "the" * 20, " the" * 20, "'s" * 9, "a " * 25, " \n" * 9,
        "x" * 3 + " " * 3 + "y" * 3, "the fox, the boat", "it didn't rain", "Jürgen ate 12 apples.", "Борис нашёл кашу", "小明 lost 苹果!",
    ]
    rng = random.Random(7)
    pool = list("abcthe THE 019 .,!?'\"-_\n\t  ") + ["é", "ß", "я", "中", "½", "🙂", "\u00a0", "\u3000", "\u0301", "'s", "'ll", " the", "ing", "\r\n"]
    out += ["".join(rng.choice(pool) for _ in range(rng.randint(2, 24))) for _ in range(70)]
    return list(dict.fromkeys(out))


def train(pre, alphabet, size, special):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, special_tokens=special, show_progress=False,
                                  limit_alphabet=len(alphabet))
    tokenizer.train_from_iterator(training_text(), trainer)
    return tokenizer


def byte_symbol(byte):
    printable = lambda b: 0x21 <= b <= 0x7E or 0xA1 <= b <= 0xAC or 0xAE <= b <= 0xFF
    return chr(byte) if printable(byte) else chr(0x100 + sum(not printable(b) for b in range(byte)))


def make_gpt2():
    return train(pre_tokenizers.ByteLevel(add_prefix_space=False), pre_tokenizers.ByteLevel.alphabet(), 500, ["<|endoftext|>"])


def make_smollm():
    alphabet = sorted(set(pre_tokenizers.ByteLevel.alphabet()) - {byte_symbol(b) for b in MISSING})
    pre = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    return train(pre, alphabet, 480, ["<|endoftext|>", "<|im|>", "<|im|>start|>"])


def make_quirks():
    """Everything that the other two leave out: Split, prefix space, unknown tokens, whole words, flags of added tokens."""
    alphabet = sorted(set(pre_tokenizers.ByteLevel.alphabet()) - {byte_symbol(b) for b in MISSING})
    pre = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(GPT2), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False),
    ])
    trained = json.loads(train(pre, alphabet, 400, ["<unk>"]).to_str())
    trained["model"].update({"unk_token": "<unk>", "fuse_unk": True, "ignore_merges": True})
    # A word that merges cannot reach, so that ignore_merges shows.
    trained["model"]["vocab"]["Ġswordfish"] = len(trained["model"]["vocab"])
    tokenizer = Tokenizer.from_str(json.dumps(trained))
    tokenizer.add_special_tokens([AddedToken("<pad>", single_word=True), AddedToken("<mask>", lstrip=True, rstrip=True)])
    tokenizer.add_tokens([AddedToken("word", single_word=True), AddedToken("LEFT", lstrip=True, normalized=False), AddedToken("RIGHT", rstrip=True)])
    return tokenizer


def make_word_level(pre, unknown):
    words = ["[unk]", "the", "a", "fox", "found", "lost", "boat", "moon", ".", ",", "!", "it", "rained", "didn't", "didn", "'", "t", "小明", "é", "..."]
    vocab = {word: i for i, word in enumerate(words)}
    if not unknown:
        del vocab["[unk]"]
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="[unk]"))
    tokenizer.pre_tokenizer = pre
    return tokenizer


def write(name, tokenizer, texts):
    folder = HERE / name
    folder.mkdir(parents=True, exist_ok=True)
    cases = []
    for text in texts:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        decoded = tokenizer.decode(ids, skip_special_tokens=False)
        cases.append([text, ids, None if decoded == text or "\ufffd" in decoded else decoded])
    file = json.loads(tokenizer.to_str())
    (folder / "tokenizer.json").write_text(json.dumps(file, ensure_ascii=True, separators=(",", ":")) + "\n")
    rows = ",\n".join(json.dumps(case, ensure_ascii=True, separators=(",", ":")) for case in cases)
    (folder / "cases.json").write_text("[" + rows + "]\n")
    print(name, len(cases), "cases,", tokenizer.get_vocab_size(), "tokens")


def main():
    texts = hard_strings()
    gpt2 = make_gpt2()
    write("gpt2", gpt2, texts)
    gpt2.model.save(str(HERE / "gpt2"))
    write("smollm", make_smollm(), texts)
    write("quirks", make_quirks(), texts)
    write("words", make_word_level(pre_tokenizers.Whitespace(), True), texts)
    known = ["", " ", "the fox", "the fox found a boat .", " it rained\n!", "didn't  the\u3000moon", "小明 lost the\u00a0boat", "... é , ,"]
    write("white_space", make_word_level(pre_tokenizers.WhitespaceSplit(), False), known)


if __name__ == "__main__":
    main()
