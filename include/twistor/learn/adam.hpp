// SPDX-License-Identifier: Apache-2.0
// Adam (Kingma and Ba 2015), with the same bits on any number of threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace twistor::learn {

struct AdamOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
};

/// Moments of one parameter tensor.
struct AdamMoments {
  std::vector<float> m, v;
};

/// Elements from which on ranks divide a parameter's moments: for fewer, telling each other the new values
/// costs more than the work and the memory that they save.
inline constexpr std::size_t least_divided_moments = std::size_t{1} << 16;

/// One step of one tensor, element by element; step counts from 1.
void adam_step(const AdamOptions& options, std::int64_t step, std::span<const float> gradient,
               std::span<float> parameter, AdamMoments& moments);

/// One step of a matrix whose gradient is zero but in the given rows (increasing); row_values: (rows, width).
/// Rows without a gradient still move by their moments: the result is that of adam_step with the dense
/// gradient.
void adam_rows(const AdamOptions& options, std::int64_t step, std::span<const std::int64_t> rows,
               std::span<const float> row_values, std::int64_t width, std::span<float> parameter,
               AdamMoments& moments);

}  // namespace twistor::learn
