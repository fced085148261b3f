// SPDX-License-Identifier: Apache-2.0
// The kernels for AVX-512 (x86-64-v4).
#define TWISTOR_ISA avx512
#include "kernels/table.hpp"
