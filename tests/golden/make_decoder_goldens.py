#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/{gpt2,gpt_neo,llama,...}/, *.gguf and rope.json: tiny decoders with random weights, and their logits.

usage: make_decoder_goldens.py [NAME...]      (default: all)

Needs torch, transformers, safetensors, numpy and gguf from PyPI in a virtual environment (made with torch 2.11.0,
transformers 5.23.0, gguf 0.19.0; from qwen3 on with torch 2.15.0, transformers 5.24.0; phi3_beyond with torch 2.11.0); nothing is downloaded from a hub. Each folder is a Hugging Face layout with golden.safetensors beside
it: input_ids (n, L) I64, hidden (n, L, D) F32 as the output matrix multiplies them (after the last norm, and over Granite's logits_scaling), logits (n, L, V) F32, computed in float64 where the
reference does so. NAME.gguf holds the weights of NAME/ in llama.cpp's conventions. rope.json: cosines and sines of rotary
positions by configuration.
"""
import json
import pathlib
import sys

import gguf
import numpy
import torch
from safetensors.torch import save_file
from transformers import (Gemma2Config, Gemma2ForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig, GPT2Config, GPT2LMHeadModel, GPTNeoConfig, GPTNeoForCausalLM,
                          GPTNeoXConfig, GPTNeoXForCausalLM, GraniteConfig, GraniteForCausalLM, LlamaConfig, LlamaForCausalLM, MistralConfig,
                          MistralForCausalLM, Olmo2Config, Olmo2ForCausalLM, Phi3Config, Phi3ForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config,
                          Qwen3ForCausalLM, SmolLM3Config, SmolLM3ForCausalLM)
from transformers.models.gpt_neox.modeling_gpt_neox import GPTNeoXRotaryEmbedding
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

HERE = pathlib.Path(__file__).parent
V, D, LAYERS, HEADS, CONTEXT = 64, 32, 2, 4, 64


def randomise(model, seed):
    """Weights with std 0.2, norms around 1, so that attention and logits vary; nothing is left at its default."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        is_gain = parameter.dim() == 1 and not name.endswith("bias")
        with torch.no_grad():
            parameter.copy_(1 + 0.1 * noise if is_gain else 0.2 * noise)
    return model.eval()


def write(name, model, seed):
    folder = HERE / name
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    ids = torch.randint(0, V, (4, 24), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        out = model.double()(ids, output_hidden_states=True)
        hidden = out.hidden_states[-1] / getattr(model.config, "logits_scaling", 1.0)
        logits = model.get_output_embeddings()(hidden)
        cap = getattr(model.config, "final_logit_softcapping", None)
        assert torch.allclose(cap * torch.tanh(logits / cap) if cap else logits, out.logits)  # the states after the last norm
    save_file({"input_ids": ids, "hidden": hidden.float().contiguous(), "logits": out.logits.float().contiguous()},
              folder / "golden.safetensors")
    print(name, "logits std", out.logits.std().item())
    return model.float()


def make_llama(tied, seed):
    config = LlamaConfig(vocab_size=V, hidden_size=D, intermediate_size=48, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
                         num_key_value_heads=2, max_position_embeddings=CONTEXT, rms_norm_eps=1e-5, tie_word_embeddings=tied,
                         bos_token_id=0, eos_token_id=0,
                         rope_parameters={"rope_type": "default", "rope_theta": 10000.0})
    return randomise(LlamaForCausalLM(config), seed)


def interleave(weight, n_head):
    """Rows of Q or K from half-split rotary order to interleaved pairs."""
    rows, columns = weight.shape
    return weight.reshape(n_head, 2, rows // n_head // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def gguf_vocabulary():
    tokens = ["<|endoftext|>", "\u0120"] + list("abcdefghijklmnopqrstuvwxyz0123456789.,!?'-") + ["\u010a"]
    merges = ["h e", "\u0120 t", "\u0120t he", "i n", "\u0120 a", "e r", "in g", "o u", "\u0120 w", "a s", "\u0120w as", "n d", "\u0120a nd",
              "r e", "o n", "\u0120 s", "l l", "i t"]
    tokens += [merge.replace(" ", "") for merge in merges]
    assert len(tokens) <= V
    return tokens + [f"<unused{i}>" for i in range(V - len(tokens))], merges


def open_gguf(name, architecture, config):
    """A writer with what all architectures share, a vocabulary of V tokens among it."""
    writer = gguf.GGUFWriter(HERE / f"{name}.gguf", architecture)
    writer.add_name("golden")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(D)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    tokens, merges = gguf_vocabulary()
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL] + [gguf.TokenType.NORMAL] * (V - 1))
    writer.add_token_merges(merges)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_add_bos_token(False)
    return writer


def close_gguf(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_tensors(writer, model, names, change=lambda ours, weight: weight):
    """Writes tensors under names of ours; `names` maps theirs, without numbers of layers, `change` adapts the values."""
    for theirs, tensor in model.state_dict().items():
        stem, kind = theirs.rsplit(".", 1)
        parts = stem.split(".")
        number = next((part for part in parts if part.isdigit()), None)
        ours = names.get(".".join(part for part in parts if not part.isdigit()))
        if ours is None:
            continue
        weight = change(ours, tensor.numpy().astype(numpy.float32))
        writer.add_tensor(f"{ours}.{kind}" if number is None else f"blk.{number}.{ours}.{kind}", numpy.ascontiguousarray(weight))


LLAMA_NAMES = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
               "model.layers.self_attn.q_proj": "attn_q", "model.layers.self_attn.k_proj": "attn_k", "model.layers.self_attn.v_proj": "attn_v",
               "model.layers.self_attn.o_proj": "attn_output", "model.layers.mlp.gate_proj": "ffn_gate", "model.layers.mlp.up_proj": "ffn_up",
               "model.layers.mlp.down_proj": "ffn_down", "model.layers.input_layernorm": "attn_norm",
               "model.layers.post_attention_layernorm": "ffn_norm"}


def write_llama_gguf(name, model):
    """Rows of Q and K in the order that the converter gives them; frequency factors where the model has scaled positions."""
    config = model.config
    writer = open_gguf(name, "llama", config)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.head_dim)
    if config.head_dim * config.num_attention_heads != D:
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
    writer.add_vocab_size(V)
    if config.rope_parameters["rope_type"] == "llama3":
        plain = 1 / config.rope_parameters["rope_theta"] ** (numpy.arange(0, config.head_dim, 2) / config.head_dim)
        scaled = LlamaRotaryEmbedding(config).inv_freq.numpy()
        writer.add_tensor("rope_freqs.weight", (plain / scaled).astype(numpy.float32))
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}

    def permute(ours, weight):
        if ours not in heads:
            return weight
        return interleave(weight.reshape(weight.shape[0], -1), heads[ours]).reshape(weight.shape)

    add_tensors(writer, model, LLAMA_NAMES, permute)
    close_gguf(writer)


def write_qwen2_gguf(name, model):
    config = model.config
    writer = open_gguf(name, "qwen2", config)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    add_tensors(writer, model, {k: v for k, v in LLAMA_NAMES.items() if not (k == "lm_head" and config.tie_word_embeddings)})
    close_gguf(writer)


def write_gpt2_gguf(name, model):
    writer = open_gguf(name, "gpt2", model.config)
    writer.add_feed_forward_length(4 * D)
    writer.add_layer_norm_eps(model.config.layer_norm_epsilon)
    names = {"transformer.wte": "token_embd", "transformer.wpe": "position_embd", "transformer.ln_f": "output_norm",
             "transformer.h.ln_1": "attn_norm", "transformer.h.ln_2": "ffn_norm", "transformer.h.attn.c_attn": "attn_qkv",
             "transformer.h.attn.c_proj": "attn_output", "transformer.h.mlp.c_fc": "ffn_up", "transformer.h.mlp.c_proj": "ffn_down"}
    turned = ("attn_qkv", "attn_output", "ffn_up", "ffn_down")
    add_tensors(writer, model, names, lambda ours, weight: weight.T if ours in turned and weight.ndim == 2 else weight)
    close_gguf(writer)


def write_gpt_neox_gguf(name, model):
    config = model.config
    writer = open_gguf(name, "gptneox", config)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_layer_norm_eps(config.layer_norm_eps)
    head_size = D // config.num_attention_heads
    writer.add_rope_dimension_count(int(head_size * config.rope_parameters["partial_rotary_factor"]))
    writer.add_parallel_residual(config.use_parallel_residual)
    names = {"gpt_neox.embed_in": "token_embd", "gpt_neox.final_layer_norm": "output_norm", "embed_out": "output", "lm_head": "output",
             "gpt_neox.layers.input_layernorm": "attn_norm", "gpt_neox.layers.post_attention_layernorm": "ffn_norm",
             "gpt_neox.layers.attention.query_key_value": "attn_qkv", "gpt_neox.layers.attention.dense": "attn_output",
             "gpt_neox.layers.mlp.dense_h_to_4h": "ffn_up", "gpt_neox.layers.mlp.dense_4h_to_h": "ffn_down"}

    def unfuse(ours, weight):
        if ours != "attn_qkv":
            return weight
        return weight.reshape(config.num_attention_heads, 3, head_size, -1).swapaxes(0, 1).reshape(weight.shape)

    add_tensors(writer, model, names, unfuse)
    close_gguf(writer)


def gpt2():
    config = GPT2Config(vocab_size=V, n_positions=CONTEXT, n_embd=D, n_layer=LAYERS, n_head=HEADS, bos_token_id=0, eos_token_id=0)
    write_gpt2_gguf("gpt2", write("gpt2", randomise(GPT2LMHeadModel(config), 1), 11))


def llama():
    write_llama_gguf("llama", write("llama", make_llama(tied=False, seed=2), 12))


def llama_tied():
    write("llama_tied", make_llama(tied=True, seed=3), 13)


def gpt_neo():
    """Both kinds of layers, and texts longer than the window."""
    config = GPTNeoConfig(vocab_size=V, max_position_embeddings=CONTEXT, hidden_size=D, num_layers=3, num_heads=HEADS, window_size=7,
                          attention_types=[[["global", "local"], 1], [["local"], 1]], bos_token_id=0, eos_token_id=0)
    write("gpt_neo", randomise(GPTNeoForCausalLM(config), 4), 14)


def llama3():
    """Scaled positions, biases everywhere and heads that do not divide the width."""
    rope = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 16}
    config = LlamaConfig(vocab_size=V, hidden_size=D, intermediate_size=40, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
                         num_key_value_heads=2, max_position_embeddings=CONTEXT, rms_norm_eps=1e-6, tie_word_embeddings=True, head_dim=10,
                         attention_bias=True, mlp_bias=True, bos_token_id=0, eos_token_id=0, rope_parameters=rope)
    write_llama_gguf("llama3", write("llama3", randomise(LlamaForCausalLM(config), 5), 15))


def mistral():
    config = MistralConfig(vocab_size=V, hidden_size=D, intermediate_size=48, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
                           num_key_value_heads=1, head_dim=12, max_position_embeddings=CONTEXT, rms_norm_eps=1e-5, sliding_window=6,
                           bos_token_id=0, eos_token_id=0, rope_parameters={"rope_type": "default", "rope_theta": 5000.0})
    write("mistral", randomise(MistralForCausalLM(config), 6), 16)


def make_qwen2(seed, **options):
    config = Qwen2Config(vocab_size=V, hidden_size=D, intermediate_size=48, num_hidden_layers=3, num_attention_heads=HEADS,
                         num_key_value_heads=2, max_position_embeddings=CONTEXT, rms_norm_eps=1e-6, bos_token_id=0, eos_token_id=0,
                         rope_parameters={"rope_type": "default", "rope_theta": 1000000.0}, **options)
    return randomise(Qwen2ForCausalLM(config), seed)


def qwen2():
    """A window in the last two of three layers, an output matrix of its own."""
    write("qwen2", make_qwen2(7, use_sliding_window=True, sliding_window=5, max_window_layers=1), 17)


def qwen2_tied():
    write_qwen2_gguf("qwen2_tied", write("qwen2_tied", make_qwen2(8, tie_word_embeddings=True), 18))


def make_neox(seed, **options):
    config = GPTNeoXConfig(vocab_size=V, hidden_size=D, intermediate_size=64, num_hidden_layers=LAYERS, num_attention_heads=2,
                           max_position_embeddings=CONTEXT, bos_token_id=0, eos_token_id=0,
                           rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.375}, **options)
    return randomise(GPTNeoXForCausalLM(config), seed)


def gpt_neox():
    write_gpt_neox_gguf("gpt_neox", write("gpt_neox", make_neox(9), 19))


def gpt_neox_serial():
    model = make_neox(10, use_parallel_residual=False, attention_bias=False)
    write("gpt_neox_serial", model, 20)


def gemma2():
    """Caps so low that they matter, windows in the first and the third layer."""
    config = Gemma2Config(vocab_size=V, hidden_size=D, intermediate_size=48, num_hidden_layers=3, num_attention_heads=HEADS,
                          num_key_value_heads=2, head_dim=10, max_position_embeddings=CONTEXT, rms_norm_eps=1e-6, sliding_window=6,
                          query_pre_attn_scalar=24, attn_logit_softcapping=2.0, final_logit_softcapping=8.0, bos_token_id=0, eos_token_id=0,
                          rope_parameters={"rope_type": "default", "rope_theta": 10000.0}, attn_implementation="eager")
    write("gemma2", randomise(Gemma2ForCausalLM(config), 21), 22)


LATER = dict(vocab_size=V, hidden_size=D, intermediate_size=48, num_attention_heads=HEADS, num_key_value_heads=2, max_position_embeddings=CONTEXT,
             rms_norm_eps=1e-6, bos_token_id=0, eos_token_id=0, pad_token_id=None)


def write_relative_gguf(name, architecture, model, names, more=None, change=lambda ours, weight: weight):
    """A relative of Llama's; `names` comes over LLAMA_NAMES, `more` adds keys to the writer."""
    config = model.config
    writer = open_gguf(name, architecture, config)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    rope = config.rope_parameters.get("full_attention", config.rope_parameters)
    writer.add_rope_freq_base(rope["rope_theta"])
    if getattr(config, "head_dim", None):
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
    if more is not None:
        more(writer, config)
    names = {**LLAMA_NAMES, **names}
    if config.tie_word_embeddings:
        del names["lm_head"]
    add_tensors(writer, model, names, change)
    close_gguf(writer)


def interleaved(config):
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    return lambda ours, weight: interleave(weight.reshape(weight.shape[0], -1), heads[ours]).reshape(weight.shape) if ours in heads else weight


HEAD_NORMS = {"model.layers.self_attn.q_norm": "attn_q_norm", "model.layers.self_attn.k_norm": "attn_k_norm"}


def qwen3():
    """Norms of queries and keys, heads that do not divide the width, a window in the last layer."""
    config = Qwen3Config(**LATER, num_hidden_layers=LAYERS, head_dim=10, use_sliding_window=True, sliding_window=6, max_window_layers=1,
                         rope_parameters={"rope_type": "default", "rope_theta": 1000000.0})
    write("qwen3", randomise(Qwen3ForCausalLM(config), 31), 41)
    config = Qwen3Config(**LATER, num_hidden_layers=LAYERS, head_dim=10, tie_word_embeddings=True,
                         rope_parameters={"rope_type": "default", "rope_theta": 1000000.0})
    write_relative_gguf("qwen3_tied", "qwen3", write("qwen3_tied", randomise(Qwen3ForCausalLM(config), 32), 42), HEAD_NORMS)


def smollm3():
    """Four layers, the last without positions; in smollm3_window two of three are, and have a window."""
    config = SmolLM3Config(**LATER, num_hidden_layers=4, rope_parameters={"rope_type": "default", "rope_theta": 50000.0})
    model = write("smollm3", randomise(SmolLM3ForCausalLM(config), 33), 43)
    write_relative_gguf("smollm3", "smollm3", model, {}, lambda writer, _: writer.add_rope_dimension_count(D // HEADS), interleaved(config))
    config = SmolLM3Config(**LATER, num_hidden_layers=3, no_rope_layers=[0, 1, 0], use_sliding_window=True, sliding_window=6, attention_bias=True,
                           mlp_bias=True, tie_word_embeddings=False, rope_parameters={"rope_type": "default", "rope_theta": 50000.0})
    write("smollm3_window", randomise(SmolLM3ForCausalLM(config), 34), 44)


def olmo2():
    config = Olmo2Config(**LATER, num_hidden_layers=LAYERS, rope_parameters={"rope_type": "default", "rope_theta": 500000.0})
    names = {**HEAD_NORMS, "model.layers.post_attention_layernorm": "post_attention_norm", "model.layers.post_feedforward_layernorm": "post_ffw_norm"}
    write_relative_gguf("olmo2", "olmo2", write("olmo2", randomise(Olmo2ForCausalLM(config), 35), 45), names)


def phi3():
    """Fused matrices and a window; in phi3_long positions on half of each head, by LongRoPE's short factors."""
    config = Phi3Config(**LATER, num_hidden_layers=LAYERS, sliding_window=7, rope_parameters={"rope_type": "default", "rope_theta": 10000.0})
    names = {"model.layers.self_attn.qkv_proj": "attn_qkv", "model.layers.mlp.gate_up_proj": "ffn_up"}
    write_relative_gguf("phi3", "phi3", write("phi3", randomise(Phi3ForCausalLM(config), 36), 46), names,
                        lambda writer, config: writer.add_sliding_window(config.sliding_window))
    rope = {"rope_type": "longrope", "rope_theta": 10000.0, "partial_rotary_factor": 0.5, "short_factor": [1.0, 1.5], "long_factor": [2.0, 9.0],
            "original_max_position_embeddings": 32}
    config = Phi3Config(**LATER, num_hidden_layers=LAYERS, original_max_position_embeddings=32, tie_word_embeddings=True, rope_parameters=rope)
    write("phi3_long", randomise(Phi3ForCausalLM(config), 37), 47)


def phi3_beyond():
    """Beyond the original context of phi3_long, where all positions turn by the long factors, and phi3_long.gguf."""
    model = Phi3ForCausalLM.from_pretrained(HERE / "phi3_long")
    names = {"model.layers.self_attn.qkv_proj": "attn_qkv", "model.layers.mlp.gate_up_proj": "ffn_up"}
    rope = model.config.rope_parameters

    def keys(writer, config):
        writer.add_rope_dimension_count(4)
        writer.add_rope_scaling_orig_ctx_len(32)
        writer.add_rope_scaling_attn_factors(float(numpy.sqrt(1 + numpy.log(CONTEXT / 32) / numpy.log(32))))
        for kind in ["short", "long"]:
            writer.add_tensor(f"rope_factors_{kind}.weight", numpy.array(rope[f"{kind}_factor"], dtype=numpy.float32))

    write_relative_gguf("phi3_long", "phi3", model, names, keys)
    ids = torch.randint(0, V, (2, 44), generator=torch.Generator().manual_seed(57))
    with torch.no_grad():
        out = model.double()(ids, output_hidden_states=True)
    save_file({"input_ids": ids, "hidden": out.hidden_states[-1].float().contiguous(), "logits": out.logits.float().contiguous()},
              HERE / "phi3_long" / "beyond.safetensors")
    print("phi3_long beyond its first context, logits std", out.logits.std().item())


def granite():
    """Multipliers that all differ from their defaults."""
    config = GraniteConfig(**LATER, num_hidden_layers=LAYERS, embedding_multiplier=6.0, residual_multiplier=0.3, attention_multiplier=0.5,
                           logits_scaling=3.0, rope_parameters={"rope_type": "default", "rope_theta": 10000.0})

    def scales(writer, config):
        writer.add_embedding_scale(config.embedding_multiplier)
        writer.add_residual_scale(config.residual_multiplier)
        writer.add_attention_scale(config.attention_multiplier)
        writer.add_logit_scale(config.logits_scaling)
        writer.add_rope_dimension_count(D // HEADS)

    model = write("granite", randomise(GraniteForCausalLM(config), 38), 48)
    write_relative_gguf("granite", "granite", model, {}, scales, interleaved(config))


def gemma3():
    """Seven layers, the sixth global with stretched positions; heads that do not divide the width."""
    rope = {"sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
            "full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}}
    config = Gemma3TextConfig(**LATER, num_hidden_layers=7, head_dim=10, sliding_window=6, query_pre_attn_scalar=24, rope_parameters=rope,
                              attn_implementation="eager")
    write("gemma3", randomise(Gemma3ForCausalLM(config), 39), 49)
    # Where llama.cpp's reader knows one value alone, this one has it.
    rope = {"sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000000.0}}
    config = Gemma3TextConfig(**LATER, num_hidden_layers=7, head_dim=10, sliding_window=6, query_pre_attn_scalar=10, rope_parameters=rope,
                              attn_implementation="eager")
    model = write("gemma3_plain", randomise(Gemma3ForCausalLM(config), 40), 50)
    names = {**HEAD_NORMS, "model.layers.post_attention_layernorm": "post_attention_norm", "model.layers.pre_feedforward_layernorm": "ffn_norm",
             "model.layers.post_feedforward_layernorm": "post_ffw_norm"}

    def keys(writer, config):
        writer.add_sliding_window(config.sliding_window)
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(8.0)

    write_relative_gguf("gemma3_plain", "gemma3", model, names, keys, lambda ours, weight: weight + 1 if ours.endswith("norm") else weight)


def rope():
    """cosines and sines (position, pair) of each configuration, as the reference's module gives them for float32."""
    positions = [1, 17, 1000, 4095]
    sections = [
        {"rope_type": "default", "rope_theta": 10000.0},
        {"rope_type": "default", "rope_theta": 100000.0},
        {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.5},
        {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0},
        {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
         "original_max_position_embeddings": 8192},
        {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 32.0, "low_freq_factor": 2.0, "high_freq_factor": 3.0,
         "original_max_position_embeddings": 512},
        {"rope_type": "yarn", "rope_theta": 1000000.0, "factor": 4.0, "original_max_position_embeddings": 1024},
        {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 40.0, "original_max_position_embeddings": 4096, "beta_fast": 24.0, "beta_slow": 2.0,
         "mscale": 0.707, "mscale_all_dim": 1.0, "truncate": False},
        {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 1024, "attention_factor": 1.25},
        {"rope_type": "longrope", "rope_theta": 10000.0, "factor": 32.0, "original_max_position_embeddings": 4096,
         "short_factor": [1 + i / 40 for i in range(32)], "long_factor": [1.0 + i for i in range(32)]},
    ]
    cases = []

    def rounded(table):
        return [[round(value, 7) for value in row] for row in table.tolist()]

    def add(config, module):
        where = torch.tensor([positions])
        cosine, sine = module(torch.zeros(1, dtype=torch.float32), where)
        pairs = cosine.shape[-1] // 2
        cases.append({"config": config, "head_size": 64, "context": 4096, "positions": positions, "magnitude": module.attention_scaling,
                      "cosine": rounded(cosine[0, :, :pairs]), "sine": rounded(sine[0, :, :pairs])})

    for section in sections:
        config = LlamaConfig(hidden_size=256, num_attention_heads=4, max_position_embeddings=4096, rope_parameters=dict(section))
        add({"rope_parameters": section}, LlamaRotaryEmbedding(config))
    config = GPTNeoXConfig(hidden_size=256, num_attention_heads=4, max_position_embeddings=4096, rotary_pct=0.25, rotary_emb_base=10000)
    add({"rotary_pct": 0.25, "rotary_emb_base": 10000}, GPTNeoXRotaryEmbedding(config))
    (HERE / "rope.json").write_text(json.dumps(cases, indent=None, separators=(",", ":")) + "\n")


def main():
    torch.set_num_threads(1)
    makers = [gpt2, llama, llama_tied, gpt_neo, llama3, mistral, qwen2, qwen2_tied, gpt_neox, gpt_neox_serial, gemma2, qwen3, smollm3, olmo2, phi3, phi3_beyond, granite, gemma3, rope]
    for maker in makers:
        if len(sys.argv) == 1 or maker.__name__ in sys.argv[1:]:
            maker()


if __name__ == "__main__":
    main()
