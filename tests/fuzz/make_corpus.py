#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the seeds in tests/fuzz/corpus/{chat_template,gguf,model_config,safetensors,tokenizer}: small well-formed files and near misses. Python only."""
import json
import pathlib
import struct

HERE = pathlib.Path(__file__).parent / "corpus"


def save(what, name, data):
    folder = HERE / what
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)


def string(text):
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def gguf(values, tensors, version=3, alignment=32):
    """values: (key, type, payload); tensors: (name, type, dimensions, bytes)."""
    out = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(values))
    for key, kind, payload in values:
        out += string(key) + struct.pack("<I", kind) + payload
    data = b""
    for name, kind, dimensions, raw in tensors:
        out += string(name) + struct.pack("<I", len(dimensions)) + b"".join(struct.pack("<Q", d) for d in dimensions)
        out += struct.pack("<IQ", kind, len(data))
        data += raw + bytes(-len(raw) % alignment)
    return out + (bytes(-len(out) % alignment) if tensors else b"") + data


def array(kind, items):
    return struct.pack("<IQ", kind, len(items)) + b"".join(items)


def make_gguf():
    tokens = ["<|end|>", "a", "b", "c", "\u0120", "ab", "\u0120ab"]
    vocabulary = [
        ("general.architecture", 8, string("llama")), ("llama.block_count", 4, struct.pack("<I", 1)),
        ("llama.attention.layer_norm_rms_epsilon", 6, struct.pack("<f", 1e-5)),
        ("tokenizer.ggml.model", 8, string("gpt2")), ("tokenizer.ggml.pre", 8, string("smollm")),
        ("tokenizer.ggml.tokens", 9, array(8, [string(t) for t in tokens])),
        ("tokenizer.ggml.token_type", 9, array(5, [struct.pack("<i", k) for k in [3, 1, 1, 1, 1, 1, 4]])),
        ("tokenizer.ggml.merges", 9, array(8, [string("a b"), string("\u0120 ab")])),
        ("tokenizer.ggml.eos_token_id", 4, struct.pack("<I", 0)), ("tokenizer.ggml.add_bos_token", 7, b"\0"),
    ]
    pieces = ["<unk>", "<s>", "\u2581", "a", "b", "ab", "\u2581ab", "<0x0A>", "<tool>"]
    sentencepiece = [
        ("tokenizer.ggml.model", 8, string("llama")), ("tokenizer.ggml.tokens", 9, array(8, [string(t) for t in pieces])),
        ("tokenizer.ggml.scores", 9, array(6, [struct.pack("<f", -i) for i in range(len(pieces))])),
        ("tokenizer.ggml.token_type", 9, array(5, [struct.pack("<i", k) for k in [2, 3, 1, 1, 1, 1, 1, 6, 4]])),
        ("tokenizer.ggml.unknown_token_id", 4, struct.pack("<I", 0)), ("tokenizer.ggml.add_space_prefix", 7, b"\1"),
    ]
    every = [("k%d" % kind, kind, bytes(size)) for kind, size in [(0, 1), (1, 1), (2, 2), (3, 2), (4, 4), (5, 4), (6, 4), (7, 1), (10, 8), (11, 8), (12, 8)]]
    tensors = [("f32", 0, [2, 3], bytes(24)), ("f16", 1, [4], bytes(8)), ("q4_0", 2, [32], bytes(18)), ("q4_1", 3, [32, 2], bytes(40)),
               ("q8_0", 8, [32], bytes(34)), ("bf16", 30, [2], bytes(4)), ("i64", 27, [1], bytes(8)), ("scalar", 0, [], bytes(4))]
    save("gguf", "vocabulary", gguf(vocabulary, []))
    save("gguf", "sentencepiece", gguf(sentencepiece, []))
    save("gguf", "tensors", gguf([], tensors))
    save("gguf", "both", gguf(vocabulary, tensors[:2], version=2))
    save("gguf", "types", gguf(every, []))
    save("gguf", "alignment", gguf([("general.alignment", 4, struct.pack("<I", 64))], tensors[:1], alignment=64))
    save("gguf", "huge_count", b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 1 << 60))
    save("gguf", "huge_array", gguf([("a", 9, struct.pack("<IQ", 8, 1 << 62))], []))


def make_model():
    """A Llama of one layer that is read to the end, as GGUF, and configurations of all families."""
    number = lambda key, value: ("llama." + key, 4, struct.pack("<I", value))
    keys = [("general.architecture", 8, string("llama")), number("block_count", 1), number("embedding_length", 4), number("context_length", 8),
            number("attention.head_count", 2), number("attention.head_count_kv", 1), number("feed_forward_length", 4),
            number("rope.dimension_count", 2), ("llama.rope.freq_base", 6, struct.pack("<f", 1e4)),
            ("llama.rope.scaling.type", 8, string("linear")), ("llama.rope.scaling.factor", 6, struct.pack("<f", 2)),
            ("llama.attention.layer_norm_rms_epsilon", 6, struct.pack("<f", 1e-5))]
    shapes = {"token_embd": [4, 3], "output_norm": [4], "blk.0.attn_norm": [4], "blk.0.ffn_norm": [4], "blk.0.attn_q": [4, 4],
              "blk.0.attn_k": [4, 2], "blk.0.attn_v": [4, 2], "blk.0.attn_output": [4, 4], "blk.0.ffn_gate": [4, 4], "blk.0.ffn_up": [4, 4],
              "blk.0.ffn_down": [4, 4], "rope_freqs": [1]}
    one = struct.pack("<f", 1)
    count = lambda shape: shape[0] * (shape[1] if len(shape) > 1 else 1)
    save("gguf", "model", gguf(keys, [(name + ".weight", 0, shape, one * count(shape)) for name, shape in shapes.items()]))
    golden = HERE.parent.parent / "golden"
    for folder in sorted(path.parent for path in golden.glob("*/config.json")):
        config = json.loads((folder / "config.json").read_text())
        save("model_config", folder.name, json.dumps(config, separators=(",", ":")))
    save("model_config", "deep", '{"rope_scaling":' * 3000)
    save("model_config", "huge", json.dumps({"model_type": "llama", "hidden_size": 1 << 20, "num_hidden_layers": 1000, "vocab_size": 1 << 24,
                                             "num_attention_heads": 1 << 20, "head_dim": 1 << 16, "intermediate_size": 1 << 20,
                                             "max_position_embeddings": 1 << 24, "rms_norm_eps": 1e-300}))
    yarn = {"type": "yarn", "factor": 4.0, "beta_fast": 32, "mscale": 1, "mscale_all_dim": 0.5, "truncate": False}
    save("model_config", "yarn", json.dumps({"model_type": "qwen2", "hidden_size": 8, "num_hidden_layers": 2, "vocab_size": 9, "num_attention_heads": 2,
                                             "intermediate_size": 8, "max_position_embeddings": 32, "rms_norm_eps": 1e-6, "rope_scaling": yarn}))


def safetensors(header, data):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def make_safetensors():
    entry = lambda dtype, shape, begin, end: {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    good = {"__metadata__": {"format": "pt"}, "w": entry("F32", [2, 2], 0, 16), "h": entry("F16", [2], 16, 20), "b": entry("BF16", [1], 20, 22),
            "i": entry("I64", [], 22, 30), "m": entry("BOOL", [3], 30, 33), "n": entry("F32", [0], 33, 33)}
    save("safetensors", "good", safetensors(good, bytes(33)))
    save("safetensors", "overlap", safetensors({"a": entry("F32", [1], 0, 4), "b": entry("F32", [1], 2, 6)}, bytes(6)))
    save("safetensors", "overflow", safetensors({"a": entry("F32", [1 << 32, 1 << 32], 0, 4)}, bytes(4)))
    save("safetensors", "deep", safetensors(b"[" * 5000, b""))
    save("safetensors", "empty", safetensors({}, b""))


def make_tokenizer():
    vocab = {"a": 0, "b": 1, "c": 2, "\u0120": 3, "ab": 4, "\u0120ab": 5, "<unk>": 6}
    bpe = {"added_tokens": [{"id": 7, "content": "<end>", "special": True, "lstrip": True, "rstrip": True, "single_word": True, "normalized": True}],
           "normalizer": None, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}, "decoder": {"type": "ByteLevel"},
           "model": {"type": "BPE", "vocab": vocab, "merges": ["a b", ["\u0120", "ab"]], "unk_token": "<unk>", "fuse_unk": True, "ignore_merges": True}}
    save("tokenizer", "bpe", json.dumps(bpe))
    bpe["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [
        {"type": "Digits", "individual_digits": True}, {"type": "Split", "pattern": {"Regex": "\\p{N}+"}, "behavior": "Isolated", "invert": False},
        {"type": "ByteLevel", "add_prefix_space": True}]}
    save("tokenizer", "sequence", json.dumps(bpe))
    words = {"pre_tokenizer": {"type": "Whitespace"}, "model": {"type": "WordLevel", "vocab": {"the": 0, "fox": 1, "?": 2}, "unk_token": "?"}}
    save("tokenizer", "words", json.dumps(words))
    special = lambda token, kind: {"SpecialToken": {"id": token, "type_id": kind}}
    bert = {"added_tokens": [{"id": 1, "content": "[CLS]", "special": True}, {"id": 9, "content": "a ", "rstrip": True, "normalized": True}],
            "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
            "pre_tokenizer": {"type": "BertPreTokenizer"}, "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
            "post_processor": {"type": "TemplateProcessing", "single": [special("[CLS]", 0), {"Sequence": {"id": "A", "type_id": 0}}, special("[SEP]", 1)],
                               "special_tokens": {t: {"id": t, "ids": [i], "tokens": [t]} for i, t in [(1, "[CLS]"), (2, "[SEP]")]}},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                      "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3, "##a": 4, "##ab": 5, ".": 6, "\u4e2d": 7}}}
    save("tokenizer", "bert", json.dumps(bert))
    replace = lambda kind, pattern, content: {"type": "Replace", "pattern": {kind: pattern}, "content": content}
    bert["normalizer"] = {"type": "Sequence", "normalizers": [
        {"type": kind} for kind in ["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "ByteLevel"]] + [
        {"type": "Strip", "strip_left": True, "strip_right": True}, {"type": "Prepend", "prepend": "\u2581"}, replace("String", "a", "aa"),
        replace("Regex", "\\s{2,}", " ")]}
    bert["pre_tokenizer"] = {"type": "WhitespaceSplit"}
    bert["post_processor"] = {"type": "Sequence", "processors": [{"type": "ByteLevel"}, {"type": "RobertaProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]}]}
    bert["decoder"] = {"type": "Sequence", "decoders": [
        replace("String", "\u2581", " "), {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 1},
        {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first"}, {"type": "BPEDecoder", "suffix": "</w>"}, {"type": "ByteLevel"}]}
    save("tokenizer", "every_part", json.dumps(bert))
    golden = json.loads((HERE.parent.parent / "golden/text_parity/normalizer_precompiled.json").read_text())
    bert["normalizer"] = golden["tokenizer"]["normalizer"]
    save("tokenizer", "precompiled", json.dumps(bert))
    make_other_models()
    save("tokenizer", "deep", '{"model":' * 3000)
    save("tokenizer", "huge_id", json.dumps({"model": {"type": "WordLevel", "vocab": {"a": 1 << 50}, "unk_token": "a"}}))


def make_other_models():
    """BPE over characters and Unigram, behind every pre-tokenizer."""
    split = {"type": "Split", "pattern": {"Regex": "\\b(?:[^\\s\\w]|x*)|(?<=a)b{,2}"}, "behavior": "MergedWithNext", "invert": True}
    pre = [split, {"type": "Split", "pattern": {"String": "ab"}, "behavior": "Contiguous", "invert": False}, {"type": "Punctuation", "behavior": "Removed"},
           {"type": "CharDelimiterSplit", "delimiter": "-"}, {"type": "FixedLength", "length": 7}, {"type": "WhitespaceSplit"},
           {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": True}]
    bytes_too = {f"<0x{b:02X}>": 10 + b for b in range(0x20, 0x60)}
    vocab = {"a": 0, "b": 1, "\u2581": 2, "ab": 3, "\u2581ab": 4, "<unk>": 5, "##b": 6, "b</w>": 7} | bytes_too
    bpe = {"type": "BPE", "vocab": vocab, "merges": ["a b", ["\u2581", "ab"]], "unk_token": "<unk>", "fuse_unk": False, "byte_fallback": True,
           "continuing_subword_prefix": None, "end_of_word_suffix": None, "dropout": None}
    save("tokenizer", "characters", json.dumps({"pre_tokenizer": {"type": "Sequence", "pretokenizers": pre}, "model": bpe}))
    suffix = bpe | {"merges": ["a ##b"], "byte_fallback": False, "fuse_unk": True, "end_of_word_suffix": "</w>", "continuing_subword_prefix": "##"}
    save("tokenizer", "affixes", json.dumps({"pre_tokenizer": {"type": "Whitespace"}, "model": suffix}))
    unigram = {"type": "Unigram", "unk_id": 0, "byte_fallback": True, "vocab": [["<unk>", 0], ["a", -1.5], ["ab", -1.25], ["\u2581", -3], ["<0x22>", -9]]}
    save("tokenizer", "unigram", json.dumps({"pre_tokenizer": pre[-1], "model": unigram}))


def make_chat_template():
    """The templates of the goldens, with their messages; of single expressions several together."""
    cases = json.loads((HERE.parent.parent / "golden/chat/cases.json").read_text())
    together, expressions = "", 0
    for number, case in enumerate(cases):
        if not case["template"].startswith("{{ ") or len(case["template"]) > 400:
            save("chat_template", f"case_{number}", case["template"] + "\0" + json.dumps(case["messages"]))
        elif case.get("text") is not None:
            together += case["template"]
    for begin in range(0, len(together), 700):
        save("chat_template", f"expressions_{expressions}", together[begin:begin + 700])
        expressions += 1
    save("chat_template", "deep", "{{ " + "[" * 3000)
    save("chat_template", "loops", "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}")


if __name__ == "__main__":
    make_chat_template()
    make_gguf()
    make_model()
    make_safetensors()
    make_tokenizer()
