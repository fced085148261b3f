# SPDX-License-Identifier: Apache-2.0
"""Checks that the kernels of an instruction set share no function with the rest of the program.

The linker keeps one copy of every inline function. If a source that is compiled for AVX-512 brought such a copy along,
a program on a processor without AVX-512 might run it. So whatever these objects define for others to see must lie in the
namespace of their instruction set.

usage: kernel_symbols.py NM OBJECT...
       kernel_symbols.py --self-test
"""
import re
import subprocess
import sys

ISAS = ("avx2", "avx512", "avx512_bf16", "amx_bf16")


def stray_symbols(isa, listing):
    """Names of an `nm -C --defined-only --extern-only` listing that lie outside the namespace of `isa`."""
    names = [line.split(" ", 2)[2] for line in listing.splitlines() if line.count(" ") >= 2]
    inside = f"twistor::device::{isa}::"
    return [name for name in names if inside not in name and not name.startswith("DW.ref.")]


def self_test():
    good = "0000 R twistor::device::avx2::table\n0000 W void twistor::device::avx2::product::tile<int>(float)\n"
    assert stray_symbols("avx2", good) == []
    bad = good + "0000 W std::vector<int>::size() const\n"
    assert stray_symbols("avx2", bad) == ["std::vector<int>::size() const"]
    assert stray_symbols("avx512", good) != []
    print("self-test passed")


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    nm, objects, failed, seen = arguments[0], arguments[1:], False, 0
    for path in objects:
        found = re.search(r"/device/cpu/(\w+)/", path)
        if not found or found[1] not in ISAS:
            continue
        seen += 1
        listing = subprocess.run([nm, "-C", "--defined-only", "--extern-only", path], check=True, text=True,
                                 capture_output=True).stdout
        for name in stray_symbols(found[1], listing):
            print(f"{path}: {name} is visible to others")
            failed = True
    print(f"{seen} objects with kernels")
    return 1 if failed or seen == 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
