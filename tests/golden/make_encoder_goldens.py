#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/encoders/: tiny BERT, RoBERTa and DistilBERT classifiers and a sentence encoder with random weights.

Needs torch, transformers, tokenizers and safetensors from PyPI in a virtual environment (made with torch 2.11.0,
transformers 5.23.0, tokenizers 0.23.3); nothing is downloaded from a hub. Each folder is a Hugging Face layout with a
tokenizer, and beside it

- golden.safetensors: texts of tokens one after another, ids (rows) and type_ids (rows) I64, lengths (n) I64; for each activation
  ACT that config.json may name, hidden_ACT (rows, D) F32 and logits_ACT (n, C) F32, computed one text at a time in float64;
- texts.json (classifiers): texts, and the logits that the reference's own tokenizer and model give them.

sentence/ has embeddings_POOLING (n, D), normalised, in place of logits, and a linear head with its head_logits (n, C) of the means.
"""
import hashlib
import json
import pathlib

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (BertConfig, BertForSequenceClassification, BertModel, DistilBertConfig, DistilBertForSequenceClassification,
                          PreTrainedTokenizerFast, RobertaConfig, RobertaForSequenceClassification)

HERE = pathlib.Path(__file__).parent / "encoders"
V, D, HEADS, INNER, POSITIONS = 300, 32, 4, 48, 40
LENGTHS = [1, 2, 5, 16, 17, 36]
ACTIVATIONS = ["gelu", "gelu_new", "gelu_pytorch_tanh", "relu"]
TEXTS = ["a good film", "", "The plot, alas, is dull.", "not bad at all !", "Ünïcode, 3.14 and 小明",
         "an actor whose every word rings true, in a story that never does; " * 3]


def training_text():
    return ["the film is good", "the story is dull and the actor is not true", "a bad plot, a good word, and an unhappy end",
            "every word rings; never at all!"] * 20


def word_pieces():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(training_text(), trainers.WordPieceTrainer(vocab_size=V, special_tokens=special, show_progress=False))
    # The trainer's order is not the same in every run.
    pieces = special + sorted(set(tokenizer.get_vocab()) - set(special))
    tokenizer.model = models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]")
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
                                                             special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    # As published sentence encoders have it; what a text gives must not depend on it.
    tokenizer.enable_padding(length=9)
    tokenizer.enable_truncation(max_length=9)
    return tokenizer


def byte_pairs():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer.train_from_iterator(training_text(), trainers.BpeTrainer(vocab_size=V, special_tokens=special, show_progress=False,
                                                                       initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return tokenizer


def randomise(model, seed):
    """Weights with std 0.2, norms around 1, so that attention and logits vary; nothing is left at its default."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        is_gain = parameter.dim() == 1 and not name.endswith("bias")
        with torch.no_grad():
            parameter.copy_(1 + 0.1 * noise if is_gain else 0.2 * noise)
    return model.eval()


def token_texts(seed, has_types):
    generator = torch.Generator().manual_seed(seed)
    ids = [torch.randint(0, V, (length,), generator=generator) for length in LENGTHS]
    ids[3][4] = ids[3][9] = 1  # RoBERTa's padding token inside a text: it takes no position of its own
    types = [torch.randint(0, 2 if has_types else 1, (length,), generator=generator) for length in LENGTHS]
    return ids, types


def with_activation(make, activation, weights):
    model = make(activation).eval()
    model.load_state_dict(weights)
    return model.double()


def run(model, body, ids, types, has_types):
    extra = {"token_type_ids": types[None]} if has_types else {}
    with torch.no_grad():
        hidden = body(ids[None], attention_mask=torch.ones_like(ids)[None], **extra).last_hidden_state[0]
        logits = None
        if model is not body:
            logits = model(ids[None], attention_mask=torch.ones_like(ids)[None], **extra).logits[0]
    return hidden, logits


def write_classifier(name, make, body_name, tokenizer, has_types, seed):
    folder = HERE / name
    model = randomise(make("gelu"), seed)
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer.to_str(pretty=False))
    ids, types = token_texts(seed, has_types)
    golden = {"ids": torch.cat(ids), "type_ids": torch.cat(types), "lengths": torch.tensor(LENGTHS)}
    for activation in ACTIVATIONS:
        variant = with_activation(make, activation, model.state_dict())
        rows = [run(variant, getattr(variant, body_name), i, t, has_types) for i, t in zip(ids, types)]
        golden["hidden_" + activation] = torch.cat([hidden for hidden, _ in rows]).float()
        golden["logits_" + activation] = torch.stack([logits for _, logits in rows]).float()
    save_file(golden, folder / "golden.safetensors")
    most = POSITIONS - (2 if name == "roberta" else 0)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    reference = model.double()
    cases = []
    for text in TEXTS:
        encoded = torch.tensor(fast(text, truncation=True, max_length=most)["input_ids"])
        cases.append({"text": text, "n_tokens": len(encoded),
                      "logits": run(reference, getattr(reference, body_name), encoded, torch.zeros_like(encoded), has_types)[1].tolist()})
    (folder / "texts.json").write_text(json.dumps(cases, indent=1) + "\n")
    print(name, "hidden std", golden["hidden_gelu"].std().item(), "logits std", golden["logits_gelu"].std().item(),
          [case["n_tokens"] for case in cases])


def write_sentence():
    folder = HERE / "sentence"
    config = BertConfig(vocab_size=V, hidden_size=D, num_hidden_layers=2, num_attention_heads=HEADS, intermediate_size=INNER,
                        max_position_embeddings=POSITIONS, type_vocab_size=2)
    model = randomise(BertModel(config, add_pooling_layer=False), 4)
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(word_pieces().to_str(pretty=False))
    kind = "sentence_transformers.models."
    (folder / "modules.json").write_text(json.dumps([
        {"idx": 0, "name": "0", "path": "", "type": kind + "Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": kind + "Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": kind + "Normalize"}], indent=1) + "\n")
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 24, "do_lower_case": false}\n')
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({
        "word_embedding_dimension": D, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True,
        "pooling_mode_max_tokens": False, "pooling_mode_mean_sqrt_len_tokens": False}, indent=1) + "\n")
    ids, types = token_texts(4, True)
    types = [torch.zeros_like(t) for t in types]
    reference = model.double()
    rows = [run(reference, reference, i, t, True)[0] for i, t in zip(ids, types)]
    pooled = {"mean_tokens": [r.mean(0) for r in rows], "cls_token": [r[0] for r in rows], "max_tokens": [r.max(0).values for r in rows]}
    golden = {"ids": torch.cat(ids), "type_ids": torch.cat(types), "lengths": torch.tensor(LENGTHS), "hidden_gelu": torch.cat(rows).float()}
    for name, vectors in pooled.items():
        golden["embeddings_" + name] = torch.nn.functional.normalize(torch.stack(vectors)).float()
    vectors = torch.nn.functional.normalize(torch.stack(pooled["mean_tokens"]))
    golden["head_logits"] = write_head(folder, vectors).float()
    save_file(golden, folder / "golden.safetensors")


def space_fingerprint(weights, pooling):
    """What ties a head to an encoder: sha256 of names, shapes and contents of its tensors (here all small enough to be hashed
    whole), of the pooling and of whether vectors are normalised."""
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(name.encode() + b"".join(size.to_bytes(8, "little") for size in tensor.shape) + tensor.numpy().tobytes())
    return hashlib.sha256(f"{digest.hexdigest()}|{pooling}|true".encode()).hexdigest()


def write_head(folder, embeddings):
    generator = torch.Generator().manual_seed(5)
    weight, bias = torch.randn((3, D), generator=generator), torch.randn((3,), generator=generator)
    metadata = {"classes": json.dumps(["bad", "good", "so so"]), "encoder": space_fingerprint(load_file(folder / "model.safetensors"), 0),
                "data": "random"}
    save_file({"weight": weight, "bias": bias}, folder / "head.safetensors", metadata=metadata)
    return embeddings @ weight.double().T + bias.double()


def main():
    torch.set_num_threads(1)
    sizes = dict(vocab_size=V, hidden_size=D, num_hidden_layers=2, num_attention_heads=HEADS, intermediate_size=INNER)
    names = {0: "negative", 1: "neutral", 2: "positive"}
    ids_of = {name: i for i, name in names.items()}
    write_classifier("bert", lambda act: BertForSequenceClassification(BertConfig(
        **sizes, max_position_embeddings=POSITIONS, type_vocab_size=2, hidden_act=act, id2label=names, label2id=ids_of)),
        "bert", word_pieces(), True, 1)
    write_classifier("roberta", lambda act: RobertaForSequenceClassification(RobertaConfig(
        **sizes, max_position_embeddings=POSITIONS, type_vocab_size=1, hidden_act=act, num_labels=1, pad_token_id=1, bos_token_id=0,
        eos_token_id=2)), "roberta", byte_pairs(), False, 2)
    write_classifier("distilbert", lambda act: DistilBertForSequenceClassification(DistilBertConfig(
        vocab_size=V, dim=D, n_layers=2, n_heads=HEADS, hidden_dim=INNER, max_position_embeddings=POSITIONS, activation=act)),
        "distilbert", word_pieces(), False, 3)
    write_sentence()


if __name__ == "__main__":
    main()
