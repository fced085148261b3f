// SPDX-License-Identifier: Apache-2.0
// The kernels for AVX2 and FMA (x86-64-v3).
#define TWISTOR_ISA avx2
#include "kernels/table.hpp"
