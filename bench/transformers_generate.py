#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tokens per second of the transformers library's generate() on a GPU, to compare bench_engine with.

usage: transformers_generate.py MODEL_FOLDER DTYPE N,N,... [NEW_TOKENS]

n sequences sample NEW_TOKENS tokens (20) from p0 after a common prompt of 16, as bench_engine's sweeps do; nothing is
weighed. The best of three after a warm-up.
"""
import sys
import time

import torch
import transformers


def main():
    folder, dtype, counts = sys.argv[1], getattr(torch, sys.argv[2]), sys.argv[3]
    new_tokens = int(sys.argv[4]) if len(sys.argv) > 4 else 20
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).to("cuda").eval()
    print(f"transformers {transformers.__version__}, torch {torch.__version__}, {torch.cuda.get_device_name(0)}, {sys.argv[2]}")
    for n in (int(word) for word in counts.split(",")):
        ids = torch.arange(16, device="cuda").repeat(n, 1)

        def generate():
            torch.cuda.synchronize()
            begin = time.perf_counter()
            with torch.inference_mode():
                model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=True, top_k=0, pad_token_id=0,
                               min_new_tokens=new_tokens, max_new_tokens=new_tokens)
            torch.cuda.synchronize()
            return time.perf_counter() - begin

        generate()
        best = min(generate() for _ in range(3))
        print(f"{n:8} sequences: {1e-3 * n * new_tokens / best:10.1f} ktokens/s")


if __name__ == "__main__":
    main()
