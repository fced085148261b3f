// SPDX-License-Identifier: Apache-2.0
// Whole texts by ATen. Private to the device room.
#pragma once

#include <memory>

#include "twistor/device/engine.hpp"

namespace twistor::device {

/// For attention and pooling alone texts are padded to the longest of the pass.
[[nodiscard]] std::unique_ptr<TextPass> begin_aten_texts(std::span<const std::int64_t> begins,
                                                         at::Device device);

}  // namespace twistor::device
