#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/quantised.gguf and quantised.safetensors: every block format, and what it expands to.

Needs gguf, numpy and safetensors from PyPI (made with gguf 0.19.0). Both files hold tensors of the same names; those of
the safetensors file are the float32 values that the gguf package itself makes of the stored blocks.
"""
import pathlib

import gguf
import numpy
from gguf.quants import dequantize, quantize
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent
TYPES = {"f32": gguf.GGMLQuantizationType.F32, "f16": gguf.GGMLQuantizationType.F16, "bf16": gguf.GGMLQuantizationType.BF16,
         "q8_0": gguf.GGMLQuantizationType.Q8_0, "q4_0": gguf.GGMLQuantizationType.Q4_0, "q4_1": gguf.GGMLQuantizationType.Q4_1,
         "q5_0": gguf.GGMLQuantizationType.Q5_0, "q5_1": gguf.GGMLQuantizationType.Q5_1}
# The package expands these but does not make them. Any bytes are a legal block once its halves, at these byte offsets, are
# finite scales.
SUPER_BLOCKS = {"q4_k": (gguf.GGMLQuantizationType.Q4_K, (0, 2)), "q5_k": (gguf.GGMLQuantizationType.Q5_K, (0, 2)),
                "q6_k": (gguf.GGMLQuantizationType.Q6_K, (208,))}


def random_super_blocks(random, kind, half_offsets, rows, blocks):
    stored = random.integers(0, 256, (rows, blocks, gguf.GGML_QUANT_SIZES[kind][1]), dtype=numpy.uint8)
    for offset in half_offsets:
        scales = random.uniform(-0.02, 0.05, (rows, blocks, 1)).astype(numpy.float16)
        stored[:, :, offset:offset + 2] = scales.view(numpy.uint8)
    return stored.reshape(rows, -1)


def main():
    random = numpy.random.default_rng(17)
    values = (random.standard_normal((5, 96)) * random.choice([1e-3, 0.1, 3.0], (5, 1))).astype(numpy.float32)
    values[4, :32] = 0  # a block whose scale is 0
    writer = gguf.GGUFWriter(HERE / "quantised.gguf", "llama")
    expected = {}
    for name, kind in TYPES.items():
        stored = quantize(values, kind)
        expected[name] = dequantize(stored, kind).astype(numpy.float32)
        writer.add_tensor(name, stored, raw_dtype=kind)
    for name, (kind, half_offsets) in SUPER_BLOCKS.items():
        stored = random_super_blocks(random, kind, half_offsets, 5, 2)
        expected[name] = dequantize(stored, kind).astype(numpy.float32)
        writer.add_tensor(name, stored, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save_file(expected, HERE / "quantised.safetensors")


if __name__ == "__main__":
    main()
