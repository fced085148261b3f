// SPDX-License-Identifier: Apache-2.0
// Small tensors on the device under test: a GPU with TWISTOR_TEST_DEVICE=cuda, else main memory, where a
// stand-in for libnccl runs.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <vector>

#include "twistor/base/error.hpp"
#include "twistor/device/choose.hpp"

namespace twistor::test {

/// This rank's, or nullopt if the test asks for a GPU and there is none.
inline std::optional<at::Device> device_under_test(int rank_on_node) {
  const char* const wanted = std::getenv("TWISTOR_TEST_DEVICE");
  if (wanted == nullptr || std::string_view(wanted) != "cuda") return at::Device(at::kCPU);
  try {
    return device::make_engine(device::Place::cuda, device::KernelChoice::aten, rank_on_node)->device();
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// A tensor (n) of the dtype, filled with `values`.
inline at::Tensor on_device(const std::vector<double>& values, at::ScalarType type, at::Device device) {
  at::Tensor tensor = at::empty({static_cast<std::int64_t>(values.size())}, at::kDouble);
  std::ranges::copy(values, tensor.mutable_data_ptr<double>());
  return tensor.to(type).to(device);
}

/// Its elements, after all work on the device is done.
inline std::vector<double> to_host(const at::Tensor& tensor) {
  const at::Tensor wide = tensor.to(at::kCPU).to(at::kDouble).contiguous();
  return {wide.const_data_ptr<double>(), wide.const_data_ptr<double>() + wide.numel()};
}

}  // namespace twistor::test
