// SPDX-License-Identifier: Apache-2.0
// What attention on a device needs of the host for one pass. Private to the device room.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "twistor/device/engine.hpp"

namespace twistor::device {

/// Block numbers as int64 on the device, (n).
[[nodiscard]] at::Tensor index_tensor(std::span<const std::int32_t> blocks, at::Device device);

/// Where the new tokens of a pass stand.
struct PassPositions {
  PassPositions(const AttentionShape& shape, const KvRows& rows, at::Device device);
  struct Angles {
    std::int64_t pairs = 0;
    at::Tensor cosine, sine;  ///< (n_tokens, pairs) float32
  };
  at::Tensor slots;            ///< (rows) int64, block * 16 + place in it: where new keys and values go
  std::vector<Angles> angles;  ///< of each of the shape's rotary positions
  /// Those of a layer; without pairs and tensors where it has no rotary positions.
  [[nodiscard]] Angles of(const LayerAttention& layer) const {
    return layer.rotary == no_rotary ? Angles{} : angles[static_cast<std::size_t>(layer.rotary)];
  }
};

}  // namespace twistor::device
