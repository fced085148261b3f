# SPDX-License-Identifier: Apache-2.0
"""Compiled GPU kernels spill nothing and leave room for other blocks: at most 128 registers a thread.

usage: gpu_kernels.py NVCC ROOT
"""
import pathlib
import re
import subprocess
import sys
import tempfile

MOST_REGISTERS, KERNELS, ARCHITECTURES = 128, 11, ["sm_80", "sm_90", "sm_100"]


def usage_of(architecture):
    """(kernel, registers, bytes of stack and spills) of each kernel, as ptxas says it."""
    root = pathlib.Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.argv[1], "-std=c++20", "-O3", "-cubin", f"-arch={architecture}", "-Xptxas", "-v", f"-I{root}/include",
                   str(root / "src/device/cuda/launch_gpu.cu"), "-o", f"{folder}/kernels.cubin"]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    pattern = r"Function properties for (\S+)\n\s*(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads\n.*?Used (\d+) registers"
    return [(name, int(registers), int(stack) + int(stores) + int(loads)) for name, stack, stores, loads, registers in re.findall(pattern, said)]


def main():
    n_wrong = 0
    for architecture in ARCHITECTURES:
        usage = usage_of(architecture)
        print(f"{architecture}: {len(usage)} kernels, at most {max((r for _, r, _ in usage), default=0)} registers")
        if len(usage) != KERNELS:
            print(f"FAILED: {KERNELS} kernels are expected; a new one belongs into KERNELS")
            n_wrong += 1
        for name, registers, spilled in usage:
            if registers > MOST_REGISTERS or spilled:
                print(f"FAILED: {name} on {architecture}: {registers} registers (at most {MOST_REGISTERS}), {spilled} bytes spilled (0)")
                n_wrong += 1
    return 1 if n_wrong else 0


sys.exit(main())
