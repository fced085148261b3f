// SPDX-License-Identifier: Apache-2.0
// Arithmetic on logarithms, in float64.
#pragma once

#include <cstddef>
#include <limits>
#include <span>

namespace twistor {

inline constexpr double log_zero = -std::numeric_limits<double>::infinity();

/// log sum_i exp(x_i), left to right. Empty or all -inf: -inf. Throws Error(internal) on NaN or +inf.
[[nodiscard]] double log_sum_exp(std::span<const double> x);

/// log(exp(a) + exp(b)) without overflow.
[[nodiscard]] double log_add_exp(double a, double b) noexcept;

/// log sigmoid(x) = -log(1 + exp(-x)), exact in both tails. log(1 - sigmoid(x)) is log_sigmoid(-x).
[[nodiscard]] double log_sigmoid(double x) noexcept;

/// Effective sample size 1 / sum_i W_i^2 of normalised weights W = softmax(log_w). 0 if all are -inf.
[[nodiscard]] double effective_sample_size(std::span<const double> log_w);

}  // namespace twistor
