// SPDX-License-Identifier: Apache-2.0
// What a GPU has room for, and which one it is.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>

namespace twistor::device {

struct DeviceMemory {
  std::int64_t free_bytes = 0, total_bytes = 0;
};

/// Of all processes on it; nullopt for main memory. *Local.*
[[nodiscard]] std::optional<DeviceMemory> memory_of(at::Device device);

/// Where it sits on its node's bus ("0000:3B:00.0"), the same for every process; empty for the CPU, or if
/// CUDA does not say. *Local.*
[[nodiscard]] std::string bus_id(at::Device device);

}  // namespace twistor::device
