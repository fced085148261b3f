// SPDX-License-Identifier: Apache-2.0
// Small tensors on the device under test: GPU memory, or host memory where the stand-in for libnccl runs.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace twistor::test {

/// A tensor (n) of the dtype, filled with `values`.
[[nodiscard]] at::Tensor on_device(const std::vector<double>& values, at::ScalarType type);
/// Its elements, after all work on the device is done.
[[nodiscard]] std::vector<double> to_host(const at::Tensor& tensor);
/// How many ranks can have a device of their own here.
[[nodiscard]] int device_count();

}  // namespace twistor::test
