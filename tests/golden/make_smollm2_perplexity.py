#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/smollm2/golden.json: log-probabilities of a fixed text under SmolLM2-135M-Instruct, dequantised to float32.

usage: twistor tokenize MODEL.gguf --text "$(cat tests/golden/smollm2/text.txt)" | make_smollm2_perplexity.py MODEL.gguf

Needs torch, transformers, gguf and numpy from PyPI in a virtual environment (made with torch 2.11.0, transformers 5.23.0, gguf 0.19.0). The
weights of the GGUF file are expanded by gguf.quants.dequantize, the rows of Q and K brought back into Hugging Face's order, and given to
transformers' Llama. Prints the perplexity, and what it would be without that step: a reader with the wrong kind of rotary positions has that.
"""
import json
import pathlib
import sys

import gguf
import numpy
import torch
from transformers import LlamaConfig, LlamaForCausalLM

OUT = pathlib.Path(__file__).parent / "smollm2" / "golden.json"
NAMES = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
         "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm",
         "ffn_norm": "post_attention_layernorm"}


def half_split(weight, n_head):
    """Rows of Q or K from interleaved pairs to the two halves of each head."""
    rows, columns = weight.shape
    return weight.reshape(n_head, rows // n_head // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def read(path, is_reordered):
    reader = gguf.GGUFReader(path)
    value = lambda key: reader.fields["llama." + key].contents()
    config = LlamaConfig(
        vocab_size=49152, hidden_size=value("embedding_length"), intermediate_size=value("feed_forward_length"),
        num_hidden_layers=value("block_count"), num_attention_heads=value("attention.head_count"),
        num_key_value_heads=value("attention.head_count_kv"), max_position_embeddings=value("context_length"),
        rms_norm_eps=value("attention.layer_norm_rms_epsilon"), tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": value("rope.freq_base")})
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    weights = {}
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        stem = tensor.name.removesuffix(".weight")
        if stem == "token_embd":
            weights["model.embed_tokens.weight"] = weights["lm_head.weight"] = values
        elif stem == "output_norm":
            weights["model.norm.weight"] = values
        else:
            _, layer, name = stem.split(".")
            if name in heads and is_reordered:
                values = half_split(values, heads[name])
            weights[f"model.layers.{layer}.{NAMES[name]}.weight"] = values
    model = LlamaForCausalLM(config)
    model.load_state_dict({name: torch.from_numpy(numpy.ascontiguousarray(values)) for name, values in weights.items()})
    return model.eval()


def log_probs(model, ids):
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, :-1].double()
    return torch.log_softmax(logits, 1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0].tolist()


def main():
    ids = json.load(sys.stdin)
    wrong = log_probs(read(sys.argv[1], False), ids)
    right = log_probs(read(sys.argv[1], True), ids)
    perplexity = numpy.exp(-numpy.mean(right))
    print("tokens", len(ids), "perplexity", perplexity, "with the rows of Q and K as stored", numpy.exp(-numpy.mean(wrong)))
    OUT.write_text(json.dumps({"ids": ids, "perplexity": perplexity, "log_probs": [round(value, 5) for value in right]}) + "\n")


if __name__ == "__main__":
    main()
