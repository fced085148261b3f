// SPDX-License-Identifier: Apache-2.0
// Causal attention over blocks in main memory. Private to the device room.
#pragma once

#include <memory>

#include "twistor/device/engine.hpp"

namespace twistor::device {

/// Each query row walks its blocks in order; rows run in parallel.
[[nodiscard]] std::unique_ptr<AttentionPass> begin_cpu_attention(const AttentionShape& shape,
                                                                 const KvRows& rows);

}  // namespace twistor::device
