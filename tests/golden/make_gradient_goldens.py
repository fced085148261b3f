#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes gradients.json of each decoder in tests/golden and {gpt2,llama,gpt_neox}/adapter: gradients from transformers and peft.

usage: make_gradient_goldens.py [NAME...]      (default: all)

Needs torch, transformers, safetensors, gguf and peft from PyPI in a virtual environment (made with torch 2.11.0, transformers 5.24.0,
peft 0.21.2; from qwen3 on with torch 2.15.0). Texts are the ids of golden.safetensors: the first five of its first row as prompt, the next six of each row as tokens.
The loss is the sum of cos(0.7 i) times entry i of the hidden states before each token, (n T, D), in float64. Of each gradient g two
numbers are kept, the sums of g_i cos(i) and g_i sin(i): enough to see any error of sign, scale, order or place. "hidden" has the
same two sums of the hidden states. adapter/gradients.json has those by A and B of a PEFT folder with random A and B.
llama_q8.gguf is llama.gguf with matrices in Q8_0, where rows have whole blocks of 32.
"""
import json
import pathlib
import sys

import gguf
import make_decoder_goldens
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

HERE = pathlib.Path(__file__).parent
MODELS = ["gpt2", "gpt_neo", "gpt_neox", "gpt_neox_serial", "llama", "llama3", "llama_tied", "mistral", "qwen2", "gemma2",
          "qwen3", "smollm3", "smollm3_window", "olmo2", "phi3", "phi3_long", "granite", "gemma3"]
PROMPT, LENGTH = 5, 6
ADAPTERS = {"gpt2": ["c_attn", "mlp.c_proj"], "llama": ["q_proj", "v_proj", "down_proj"], "gpt_neox": ["query_key_value", "dense_4h_to_h"]}


def sums(tensor):
    flat = tensor.double().flatten()
    i = torch.arange(flat.numel(), dtype=torch.float64)
    return [(flat * torch.cos(i)).sum().item(), (flat * torch.sin(i)).sum().item()]


def backward(model, ids):
    """Hidden states before each token, after the gradient of the loss is in the parameters."""
    rows = [torch.cat([ids[0, :PROMPT], row[PROMPT:PROMPT + LENGTH - 1]]) for row in ids]
    hidden = model(torch.stack(rows), output_hidden_states=True).hidden_states[-1][:, PROMPT - 1:]
    hidden = hidden / getattr(model.config, "logits_scaling", 1.0)
    flat = hidden.reshape(-1)
    (flat * torch.cos(0.7 * torch.arange(flat.numel(), dtype=torch.float64))).sum().backward()
    return hidden.detach()


def load(name):
    model = AutoModelForCausalLM.from_pretrained(HERE / name, dtype=torch.float32, attn_implementation="eager").double().eval()
    model.get_input_embeddings().padding_idx = None  # which would keep gradients from a token that the texts do have
    return model


def write(path, hidden, gradients):
    path.write_text(json.dumps({"hidden": sums(hidden), "gradients": {k: sums(v) for k, v in gradients.items()}}, indent=1) + "\n")


def make(name):
    ids = load_file(HERE / name / "golden.safetensors")["input_ids"]
    model = load(name)
    hidden = backward(model, ids)
    write(HERE / name / "gradients.json", hidden, {n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    if name not in ADAPTERS:
        return
    config = LoraConfig(r=3, lora_alpha=5, target_modules=ADAPTERS[name], fan_in_fan_out=name == "gpt2", task_type="CAUSAL_LM")
    tuned = get_peft_model(load(name).float(), config)
    generator = torch.Generator().manual_seed(17)
    with torch.no_grad():
        for n, p in tuned.named_parameters():
            if "lora_" in n:
                p.copy_(0.3 * torch.randn(p.shape, generator=generator))
    folder = HERE / name / "adapter"
    tuned.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    saved = json.loads((folder / "adapter_config.json").read_text())
    saved["base_model_name_or_path"] = name
    saved["target_modules"].sort()
    (folder / "adapter_config.json").write_text(json.dumps(saved, indent=2) + "\n")
    tuned = PeftModel.from_pretrained(load(name), folder, is_trainable=True).double().eval()  # as anybody would read it
    hidden = backward(tuned, ids)
    write(folder / "gradients.json", hidden, {n.replace(".default", ""): p.grad for n, p in tuned.named_parameters() if "lora_" in n})


def make_quantised():
    plain = gguf.GGUFWriter.add_tensor

    def add(writer, name, tensor):
        if tensor.ndim != 2 or tensor.shape[1] % 32 != 0:
            return plain(writer, name, tensor)
        kind = gguf.GGMLQuantizationType.Q8_0
        return plain(writer, name, gguf.quants.quantize(tensor, kind), raw_dtype=kind)

    gguf.GGUFWriter.add_tensor = add
    make_decoder_goldens.write_llama_gguf("llama_q8", load("llama").float())


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sys.argv[1:] or MODELS:
        make(name)
        print(name)
    if len(sys.argv) == 1:
        make_quantised()
