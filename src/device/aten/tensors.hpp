// Host numbers as tensors of a device. Private to the device room.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>

#include <cstdint>
#include <span>
#include <vector>

namespace twistor::device {

/// int64 on the device, (n).
template <class Integer>
at::Tensor index_tensor(std::span<const Integer> values, at::Device device) {
  std::vector<std::int64_t> wide(values.begin(), values.end());
  return at::from_blob(wide.data(), {static_cast<std::int64_t>(wide.size())}, at::kLong)
      .to(device, at::kLong, /*non_blocking=*/false, /*copy=*/true);
}

}  // namespace twistor::device
