#!/usr/bin/env python3
"""Makes tests/golden/{gpt2,gpt_neo,llama,...}/ and llama.gguf: tiny decoders with random weights, and their logits.

usage: make_decoder_goldens.py [NAME...]      (default: all)

Needs torch, transformers, safetensors, numpy and gguf from PyPI in a virtual environment (made with torch 2.11.0,
transformers 5.23.0, gguf 0.19.0); nothing is downloaded from a hub. Each folder is a Hugging Face layout with golden.safetensors beside
it: input_ids (n, L) I64, hidden (n, L, D) F32 after the last norm, logits (n, L, V) F32, computed in float64 where the
reference does so. llama.gguf holds the weights of llama/ in llama.cpp's conventions.
"""
import pathlib
import sys

import gguf
import numpy
import torch
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoConfig, GPTNeoForCausalLM, LlamaConfig, LlamaForCausalLM

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
        assert torch.allclose(model.get_output_embeddings()(out.hidden_states[-1]), out.logits)  # the states after the last norm
    save_file({"input_ids": ids, "hidden": out.hidden_states[-1].float().contiguous(), "logits": out.logits.float().contiguous()},
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


def write_gguf(model, path):
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("golden")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(D)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(D // HEADS)
    writer.add_vocab_size(V)
    tokens, merges = gguf_vocabulary()
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL] + [gguf.TokenType.NORMAL] * (V - 1))
    writer.add_token_merges(merges)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_add_bos_token(False)
    weights = {name: tensor.numpy().astype(numpy.float32) for name, tensor in model.state_dict().items()}
    names = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
             "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
             "post_attention_layernorm": "ffn_norm"}
    writer.add_tensor("token_embd.weight", weights["model.embed_tokens.weight"])
    writer.add_tensor("output_norm.weight", weights["model.norm.weight"])
    writer.add_tensor("output.weight", weights["lm_head.weight"])
    for layer in range(LAYERS):
        for theirs, ours in names.items():
            weight = weights[f"model.layers.{layer}.{theirs}.weight"]
            if ours == "attn_q":
                weight = interleave(weight, HEADS)
            if ours == "attn_k":
                weight = interleave(weight, config.num_key_value_heads)
            writer.add_tensor(f"blk.{layer}.{ours}.weight", numpy.ascontiguousarray(weight))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def gpt2():
    config = GPT2Config(vocab_size=V, n_positions=CONTEXT, n_embd=D, n_layer=LAYERS, n_head=HEADS, bos_token_id=0, eos_token_id=0)
    write("gpt2", randomise(GPT2LMHeadModel(config), 1), 11)


def llama():
    write_gguf(write("llama", make_llama(tied=False, seed=2), 12), HERE / "llama.gguf")


def llama_tied():
    write("llama_tied", make_llama(tied=True, seed=3), 13)


def gpt_neo():
    """Both kinds of layers, and texts longer than the window."""
    config = GPTNeoConfig(vocab_size=V, max_position_embeddings=CONTEXT, hidden_size=D, num_layers=3, num_heads=HEADS, window_size=7,
                          attention_types=[[["global", "local"], 1], [["local"], 1]], bos_token_id=0, eos_token_id=0)
    write("gpt_neo", randomise(GPTNeoForCausalLM(config), 4), 14)


def main():
    torch.set_num_threads(1)
    makers = [gpt2, llama, llama_tied, gpt_neo]
    for maker in makers:
        if len(sys.argv) == 1 or maker.__name__ in sys.argv[1:]:
            maker()


if __name__ == "__main__":
    main()
