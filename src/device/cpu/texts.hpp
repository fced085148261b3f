// SPDX-License-Identifier: Apache-2.0
// Whole texts in main memory. Private to the device room.
#pragma once

#include <memory>

#include "twistor/device/engine.hpp"

namespace twistor::device {

/// Texts and heads run in parallel; each walks its keys in order.
[[nodiscard]] std::unique_ptr<TextPass> begin_cpu_texts(std::span<const std::int64_t> begins);

}  // namespace twistor::device
