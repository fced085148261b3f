// SPDX-License-Identifier: Apache-2.0
// Products by cuBLASLt, started without ATen: fewer launches, little work on the host, and fit to be
// recorded. Private to the device room.
#pragma once

#include <cuda_runtime.h>

#include "tasks.hpp"

namespace twistor::device::cuda {

/// false where the library is missing or has no algorithm for it; then nothing was started.
[[nodiscard]] bool gpu_product(const ProductTask& task, cudaStream_t stream);

}  // namespace twistor::device::cuda
