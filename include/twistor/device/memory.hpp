// SPDX-License-Identifier: Apache-2.0
// What a GPU has room for.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

namespace twistor::device {

struct DeviceMemory {
  std::int64_t free_bytes = 0, total_bytes = 0;
};

/// Of all processes on it; nullopt for main memory. *Local.*
[[nodiscard]] std::optional<DeviceMemory> memory_of(at::Device device);

}  // namespace twistor::device
