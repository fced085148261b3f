// SPDX-License-Identifier: Apache-2.0
// Adam (Kingma and Ba 2015), as a run sets it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "twistor/device/adam.hpp"

namespace twistor::learn {

struct AdamOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
};

/// Elements from which on ranks divide a parameter's moments: for fewer, telling each other the new values
/// costs more than the work and the memory that they save.
inline constexpr std::size_t least_divided_moments = std::size_t{1} << 16;

/// The numbers of one step; `step` counts from 1.
[[nodiscard]] device::AdamStep adam_step(const AdamOptions& options, std::int64_t step);

}  // namespace twistor::learn
