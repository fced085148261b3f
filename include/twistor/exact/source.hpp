// SPDX-License-Identifier: Apache-2.0
// Exact samples as estimators and learning ask for them, and who gets which.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "twistor/store/exact_samples.hpp"

namespace twistor::exact {

/// Numbered exact samples of sigma: sample(i) is (T) tokens; i is counted from 0.
struct Source {
  std::int64_t n = 0;
  std::function<std::vector<std::int64_t>(std::int64_t)> sample;
};

/// Samples 0, 2, 4, ... measure and 1, 3, 5, ... are learned from, because a bound or a KL divergence from
/// samples that the twist has seen would look too good. Where nothing is learned from them (train.positives =
/// weighted), all measure. `samples` must outlive both. Throws Error(config) if learning and measuring have
/// to do with a single one. *Local.*
struct Split {
  Source for_estimates, for_learning;
};
[[nodiscard]] Split split(const store::ExactSamples& samples, bool is_learned_from);

/// sha256 of all tokens, as 64 hexadecimal digits. *Local.*
[[nodiscard]] std::string digest(const store::ExactSamples& samples);
/// The same of samples 0 ... n - 1. *Local.*
[[nodiscard]] std::string digest(const Source& source, std::int64_t n);

}  // namespace twistor::exact
