// SPDX-License-Identifier: Apache-2.0
// What goes between host and device, counted: of the emulator too, where it stays in one memory.
#pragma once

#include <cstdint>

namespace twistor::device {

/// Since the start of the process, of engines other than the CPU's own.
struct Traffic {
  std::int64_t up = 0, up_bytes = 0;      ///< copies to the device
  std::int64_t down = 0, down_bytes = 0;  ///< copies to the host, each of which waits for the device
  std::int64_t launches = 0;              ///< of our kernels and products, one by one
  std::int64_t replays = 0;               ///< of recorded passes
};

/// *Local.*
[[nodiscard]] Traffic traffic();

// For those who move and launch.
void count_up(std::int64_t bytes);
void count_down(std::int64_t bytes);
void count_launch();
void count_replay();

}  // namespace twistor::device
