#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/sentencepiece/: small BPE vocabularies with scores, and what sentencepiece 0.2.3 (PyPI) does with the strings of the
parity tests. Run once by developers.

NAME.json: {"tokens", "scores", "types" (as in a GGUF file), "add_space_prefix", "digests": for each string six digits of the SHA-256 of its
ids ("1,2,3"), or ------ where the string spells a control token: sentencepiece takes it for text, readers of GGUF for the token}.
"""
import io
import json
import pathlib

import sentencepiece

from make_tokenizer_goldens import training_text
from text_parity import digest, strings

HERE = pathlib.Path(__file__).parent / "sentencepiece"


def train(size, **options):
    model = io.BytesIO()
    sentences = training_text()[:1500] + [text for text in strings()[::3] if text.strip() and "\x00" not in text]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences), model_writer=model, vocab_size=size, model_type="bpe", byte_fallback=True, character_coverage=0.98,
        normalization_rule_name="identity", remove_extra_whitespaces=False, max_sentence_length=100000, num_threads=1, minloglevel=2, **options)
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def token_type(processor, i):
    kinds = [(processor.is_unknown, 2), (processor.is_control, 3), (processor.is_unused, 5), (processor.is_byte, 6)]
    return next((kind for test, kind in kinds if test(i)), 1)


def answer(processor, text):
    if any(name in text for name in ("<unk>", "<s>", "</s>")):
        return "------"
    return digest(",".join(map(str, processor.encode(text))))


def write(name, processor, add_space_prefix):
    ids = range(processor.vocab_size())
    document = {
        "tokens": [processor.id_to_piece(i) for i in ids], "scores": [processor.get_score(i) for i in ids], "types": [token_type(processor, i) for i in ids],
        "add_space_prefix": add_space_prefix, "digests": "".join(answer(processor, text) for text in strings())}
    HERE.mkdir(exist_ok=True)
    (HERE / f"{name}.json").write_text(json.dumps(document, ensure_ascii=True, separators=(",", ":")) + "\n")
    print(name, len(ids), "tokens")


def main():
    write("bpe", train(900), True)
    write("bpe_no_prefix", train(800, add_dummy_prefix=False, split_by_whitespace=False, split_digits=True), False)


if __name__ == "__main__":
    main()
