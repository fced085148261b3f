// SPDX-License-Identifier: Apache-2.0
// Weights as whole numbers, from which resampling draws.
#pragma once

#include <cstdint>
#include <span>

namespace twistor::smc {

/// The integers of K log weights, as scheme.hpp says, and their sum: at most 2^53 each, 2^62 in all. The same
/// bits on every processor. Throws Error(internal) on NaN and +inf, and if all weights are zero.
std::uint64_t integer_weights(std::span<const double> log_w, std::span<std::uint64_t> integers);

}  // namespace twistor::smc
