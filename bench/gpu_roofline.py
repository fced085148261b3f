# SPDX-License-Identifier: Apache-2.0
"""What a GPU could give at the most, from sizes alone: an estimate to hold measurements against, not one of them.

usage: gpu_roofline.py [TFLOPS TB_PER_S]

  TFLOPS, TB_PER_S   the GPU's peaks for bfloat16 products and its memory (default: 989 3.35, an H100 SXM5)

A step of n particles takes, for each of its stages, the longer of arithmetic and memory traffic, one stage after the other: the
products of all layers; keys and values of a text of 16 + 20 / 2 tokens for each particle; and two heads, p0's and a linear twist's,
whose scores go to memory in float32 and are read once.
"""
import dataclasses
import sys

CONTEXT, PARTICLES = 16 + 20 // 2, [64, 256, 1024, 4096]


@dataclasses.dataclass
class Model:
    name: str
    layers: int
    d: int  # of hidden states
    f: int  # of the feed-forward part
    n_f: int  # matrices of it
    kv: int  # width of keys
    v: int  # tokens

    def weights_of_layers(self):
        return self.layers * (2 * self.d * self.d + 2 * self.d * self.kv + self.n_f * self.d * self.f)


MODELS = [
    Model("TinyStories-33M", 4, 768, 3072, 2, 768, 50257),
    Model("GPT-2 124M", 12, 768, 3072, 2, 768, 50257),
    Model("SmolLM2-135M", 30, 576, 1536, 3, 192, 49152),
    Model("Qwen2.5-0.5B", 24, 896, 4864, 3, 128, 151936),
    Model("Llama-3.1-8B", 32, 4096, 14336, 3, 1024, 128256),
]


def step_s(m, n, flops, bandwidth):
    """(layers, keys and values, heads) in seconds; weights, keys and values have two bytes."""
    weights = m.weights_of_layers()
    layers = max(2 * n * weights / flops, 2 * weights / bandwidth)
    kept = n * CONTEXT * m.layers * 2 * m.kv * 2 / bandwidth
    heads = 2 * max(2 * n * m.v * m.d / flops, (2 * m.v * m.d + 2 * 4 * n * m.v) / bandwidth)
    return layers, kept, heads


def main():
    flops, bandwidth = (1e12 * float(x) for x in (sys.argv[1:] or ["989", "3.35"]))
    print("| model | " + " | ".join(f"{n:,}" for n in PARTICLES) + " | shares at 1,024: layers, keys and values, heads |")
    print("|---|" + "---:|" * len(PARTICLES) + "---|")
    for m in MODELS:
        rates = [f"{1e-3 * n / sum(step_s(m, n, flops, bandwidth)):,.0f}" for n in PARTICLES]
        parts = step_s(m, 1024, flops, bandwidth)
        shares = ", ".join(f"{100 * p / sum(parts):.0f} %" for p in parts)
        print(f"| {m.name} | " + " | ".join(rates) + f" | {shares} |")


main()
