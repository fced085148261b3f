# SPDX-License-Identifier: Apache-2.0
"""Writes the words of a pickled Keras Tokenizer as JSON. Nothing in the pickle is executed but what is named below.

usage: convert_keras_tokenizer.py TOKENIZER.pickle WORDS.json
"""
import json
import pickle
import sys

TOKENIZER = ("keras.src.legacy.preprocessing.text", "Tokenizer")
HARMLESS = {("collections", "OrderedDict"), ("collections", "defaultdict"), ("builtins", "int")}


class Bare:
    """Stands for keras' Tokenizer; holds its attributes and does nothing."""


class Restricted(pickle.Unpickler):
    """Knows four names and refuses every other."""

    def find_class(self, module, name):
        if (module, name) == TOKENIZER:
            return Bare
        if (module, name) in HARMLESS:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"the pickle asks for {module}.{name}, which a tokenizer does not need")


def convert(tokenizer):
    """The filters, and the words that have an id below num_words, in the order of their ids from 1 on."""
    for name, expected in (("lower", True), ("split", " "), ("char_level", False), ("oov_token", None)):
        if getattr(tokenizer, name) != expected:
            raise ValueError(f"{name} is {getattr(tokenizer, name)!r} (expected {expected!r})")
    words = sorted(tokenizer.word_index, key=tokenizer.word_index.get)
    if [tokenizer.word_index[word] for word in words] != list(range(1, len(words) + 1)):
        raise ValueError("the ids of words are not 1, 2, 3, ...")
    return {"filters": tokenizer.filters, "words": words[:tokenizer.num_words - 1]}


def main(arguments):
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 64
    with open(arguments[0], "rb") as file:
        converted = convert(Restricted(file).load())
    with open(arguments[1], "w", encoding="utf-8") as file:
        json.dump(converted, file, ensure_ascii=False, indent=0)
        file.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
