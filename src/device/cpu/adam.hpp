// SPDX-License-Identifier: Apache-2.0
// Adam on the CPU. Private to the device room.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "twistor/device/engine.hpp"

namespace twistor::device {

/// As Engine::adam. The same bits on any number of threads.
void adam_in_main_memory(const AdamStep& step, std::optional<std::span<const std::int64_t>> rows,
                         const at::Tensor& gradient, const AdamTensors& parameter);

}  // namespace twistor::device
