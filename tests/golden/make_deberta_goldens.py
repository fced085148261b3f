#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/encoders/deberta/, a tiny DebertaV2ForSequenceClassification with random weights, and the parity files of its tokenizers.

Needs torch, transformers, tokenizers, safetensors and sentencepiece from PyPI in a virtual environment (made with torch 2.11.0,
transformers 5.24.0, tokenizers 0.23.3, sentencepiece 0.2.3); nothing is downloaded from a hub. The folder is as make_encoder_goldens.py
describes. Its weights have the tensors of every setting of VARIANTS, each of which is a change of config.json:

- golden.safetensors: ids, type_ids, lengths; hidden_ACT, logits_ACT of each activation; of each variant NAME logits_NAME (n, C) and
  hidden_NAME (rows, D) of the last text, the longest;
- variants.json: the changes by name; rows.json: for some settings of the buckets the table rows of the distances -LARGEST to LARGEST;
- texts.json: texts, and the logits that the reference's own tokenizer and model give them; spm.model: what tokenizer.json was made of.

text_parity/deberta_v2*.json: tokenizers as transformers 5 makes them of a vocabulary, and as versions before made them of spm.model.
"""
import json
import pathlib
import struct
import tempfile

import sentencepiece
import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import DebertaV2Config, DebertaV2ForSequenceClassification, DebertaV2Tokenizer, PreTrainedTokenizerFast
from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

from make_encoder_goldens import ACTIVATIONS, D, HEADS, HERE, INNER, LENGTHS, POSITIONS, TEXTS, V, randomise, run, token_texts, training_text
from make_text_parity_goldens import proto_fields
from text_parity import write

FOLDER = HERE / "deberta"
# The configuration of DeBERTa-v3, but for the sizes.
BASE = dict(vocab_size=V, hidden_size=D, num_hidden_layers=2, num_attention_heads=HEADS, intermediate_size=INNER, max_position_embeddings=POSITIONS,
            type_vocab_size=0, relative_attention=True, position_buckets=8, max_relative_positions=-1, pos_att_type=["p2c", "c2p"], share_att_key=True,
            norm_rel_ebd="layer_norm", position_biased_input=False, num_labels=1, pad_token_id=0)
VARIANTS = {
    "c2p": {"pos_att_type": ["c2p"]},
    "p2c": {"pos_att_type": "p2c"},
    "neither": {"pos_att_type": []},
    "own_projections": {"share_att_key": False},
    "own_c2p": {"share_att_key": False, "pos_att_type": "c2p"},
    "own_p2c": {"share_att_key": False, "pos_att_type": "p2c"},
    "no_norm": {"norm_rel_ebd": "none"},
    "no_buckets": {"position_buckets": -1, "max_relative_positions": 8},
    "farthest": {"max_relative_positions": 20},
    "positions": {"position_biased_input": True, "type_vocab_size": 2},
    "no_distances": {"relative_attention": False, "position_biased_input": True},
    "pooler_tanh": {"pooler_hidden_act": "tanh"},
    "pooler_relu": {"pooler_hidden_act": "relu"},
    "norm_eps": {"layer_norm_eps": 0.01},
    "convolution": {"conv_kernel_size": 3, "conv_act": "gelu"},
    "convolution_tanh": {"conv_kernel_size": 3},
    "convolution_alone": {"conv_kernel_size": 3, "conv_act": "relu", "relative_attention": False},
}
ROWS = [(256, 512), (32, 512), (8, 40), (8, 20), (7, 40), (2, 40), (3, 64), (-1, 16)]


def make(**changes):
    return DebertaV2ForSequenceClassification(DebertaV2Config(**{**BASE, **changes}))


def all_tensors():
    """Of the base and all variants, random."""
    tensors = {}
    for i, changes in enumerate([{}, *VARIANTS.values()]):
        for name, tensor in randomise(make(**changes), 60 + i).state_dict().items():
            tensors.setdefault(name, tensor)
            assert tensors[name].shape == tensor.shape, name
    return tensors


def reference(tensors, **changes):
    model = make(**changes).eval()
    model.load_state_dict({name: tensors[name] for name in model.state_dict()})
    return model.double()


def rows_of(model, ids, types, has_types):
    results = [run(model, model.deberta, i, t, has_types) for i, t in zip(ids, types)]
    return [hidden for hidden, _ in results], torch.stack([logits for _, logits in results]).float()


def spm_model(folder):
    """Its own rules, a small character map; control and unknown pieces as in DeBERTa-v3's file."""
    rules = ["FF21\t41", "FB01\t66 69", "3000\t20", "A0\t20", "9\t20", "A\t20", "D\t20", "65 301\tE9", "AD\t", "C4\t41 65"]
    (folder / "rules.tsv").write_text("\n".join(rules) + "\n")
    (folder / "text").write_text("\n".join(training_text()) + "\n")
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text"), model_prefix=str(folder / "m"), model_type="unigram", vocab_size=80, hard_vocab_limit=False, minloglevel=2,
        normalization_rule_tsv=str(folder / "rules.tsv"), pad_id=0, pad_piece="[PAD]", bos_id=1, bos_piece="[CLS]", eos_id=2, eos_piece="[SEP]", unk_id=3,
        unk_piece="[UNK]", num_threads=1)
    return (folder / "m.model").read_bytes()


def pieces_and_map(model):
    fields = list(proto_fields(model))
    pieces = []
    for number, value in fields:
        if number == 1:
            piece = dict(proto_fields(value))
            pieces.append((piece[1].decode(), struct.unpack("<f", piece[2])[0] if 2 in piece else 0.0))
    return pieces, dict(proto_fields(dict(fields)[3])).get(2)


def converted(model, lowercase=False, by_punctuation=False):
    """As transformers 4 converts spm.model."""
    pieces, character_map = pieces_and_map(model)
    tokenizer = Tokenizer(models.Unigram(pieces, 3, False))
    steps = ([normalizers.Lowercase()] if lowercase else []) + [normalizers.Strip(), normalizers.Precompiled(character_map),
                                                                normalizers.Replace(Regex(" {2,}"), " ")]
    tokenizer.normalizer = normalizers.Sequence(steps)
    splits = [pre_tokenizers.Punctuation(behavior="isolated")] if by_punctuation else []
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(splits + [pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")])
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
                                                             special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
    tokenizer.add_special_tokens(["[PAD]", "[CLS]", "[SEP]", AddedToken("[UNK]", normalized=True, special=True), "[MASK]"])
    return tokenizer


def write_tokenizers(model):
    write("deberta_v2_converted", converted(model, lowercase=True, by_punctuation=True))
    pieces, _ = pieces_and_map(model)
    for name, options in {"deberta_v2": {}, "deberta_v2_punctuation": {"split_by_punct": True, "do_lower_case": True}}.items():
        write(name, DebertaV2Tokenizer(vocab=[(piece, round(score, 4)) for piece, score in pieces], unk_id=3, **options)._tokenizer)


def main():
    torch.set_num_threads(1)
    tensors = all_tensors()
    FOLDER.mkdir(exist_ok=True)
    make().save_pretrained(FOLDER)
    save_file(tensors, FOLDER / "model.safetensors", metadata={"format": "pt"})
    ids, types = token_texts(6, True)
    golden = {"ids": torch.cat(ids), "type_ids": torch.cat(types), "lengths": torch.tensor(LENGTHS)}
    for activation in ACTIVATIONS:
        hidden, golden["logits_" + activation] = rows_of(reference(tensors, hidden_act=activation), ids, types, False)
        golden["hidden_" + activation] = torch.cat(hidden).float()
    for name, changes in VARIANTS.items():
        hidden, golden["logits_" + name] = rows_of(reference(tensors, **changes), ids, types, changes.get("type_vocab_size", 0) > 0)
        golden["hidden_" + name] = hidden[-1].float()
        print(name, (golden["logits_" + name] - golden["logits_gelu"]).abs().max().item())
    save_file(golden, FOLDER / "golden.safetensors")
    (FOLDER / "variants.json").write_text(json.dumps(VARIANTS, indent=1) + "\n")
    rows = []
    for buckets, farthest in ROWS:
        distances, span = torch.arange(-600, 601), buckets if buckets > 0 else farthest
        steps = make_log_bucket_position(distances, buckets, farthest).long() if buckets > 0 else distances
        rows.append({"position_buckets": buckets, "max_relative_positions": farthest, "rows": torch.clamp(steps + span, 0, 2 * span - 1).tolist()})
    (FOLDER / "rows.json").write_text(json.dumps(rows) + "\n")
    with tempfile.TemporaryDirectory() as folder:
        spm = spm_model(pathlib.Path(folder))
    (FOLDER / "spm.model").write_bytes(spm)
    tokenizer = converted(spm)
    (FOLDER / "tokenizer.json").write_text(tokenizer.to_str(pretty=False))
    fast, model, cases = PreTrainedTokenizerFast(tokenizer_object=tokenizer), reference(tensors), []
    for text in TEXTS:
        encoded = torch.tensor(fast(text, truncation=True, max_length=POSITIONS)["input_ids"])
        cases.append({"text": text, "n_tokens": len(encoded), "logits": run(model, model.deberta, encoded, torch.zeros_like(encoded), False)[1].tolist()})
    (FOLDER / "texts.json").write_text(json.dumps(cases, indent=1) + "\n")
    print("hidden std", golden["hidden_gelu"].std().item(), "logits std", golden["logits_gelu"].std().item(), [case["n_tokens"] for case in cases],
          [case["logits"] for case in cases])
    write_tokenizers(spm)


if __name__ == "__main__":
    main()
