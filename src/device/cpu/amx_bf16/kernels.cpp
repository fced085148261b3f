// SPDX-License-Identifier: Apache-2.0
// The kernels for AVX-512, with products of bfloat16 by tiles.
#define TWISTOR_ISA amx_bf16
#include "kernels/table.hpp"
