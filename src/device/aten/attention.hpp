// SPDX-License-Identifier: Apache-2.0
// Attention by ATen over gathered blocks. Private to the device room.
#pragma once

#include <memory>

#include "twistor/device/engine.hpp"

namespace twistor::device {

[[nodiscard]] std::unique_ptr<AttentionPass> begin_aten_attention(const AttentionShape& shape,
                                                                  const KvRows& rows, at::Device device);

}  // namespace twistor::device
