// SPDX-License-Identifier: Apache-2.0
// How much memory a process has held.
#pragma once

#include <cstdint>

namespace twistor {

/// The most bytes that this process has held in memory at one time. Pages that it shares with others count
/// whole for each that has touched them: weights in a node's shared memory, mapped files. *Local.*
[[nodiscard]] std::int64_t peak_memory_bytes() noexcept;

}  // namespace twistor
