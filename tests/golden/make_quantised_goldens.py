#!/usr/bin/env python3
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
         "q8_0": gguf.GGMLQuantizationType.Q8_0, "q4_0": gguf.GGMLQuantizationType.Q4_0, "q4_1": gguf.GGMLQuantizationType.Q4_1}


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
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save_file(expected, HERE / "quantised.safetensors")


if __name__ == "__main__":
    main()
