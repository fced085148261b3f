// SPDX-License-Identifier: Apache-2.0
// The largest probability among more prompts than were measured, from the tail of those that were.
#pragma once

#include <cstdint>
#include <span>

#include "twistor/estimate/statistics.hpp"

namespace twistor::estimate {

/// In the tail the logarithm of the share of prompts above a score, -log(-log p), falls in a straight line
/// with the score (Jones et al. 2025): scores above a threshold exceed it by an exponential law. NaN where
/// there are too few prompts.
struct TailFit {
  std::int64_t n_prompts = 0;  ///< N, all of them
  std::int64_t n_fitted = 0;   ///< those above the threshold
  double threshold = nan;      ///< the score of the largest probability that is not fitted
  double mean_excess = nan;    ///< of the fitted scores above it: the law's only parameter, by likelihood
};

/// Through the largest tenth of the probabilities, at least `least_fitted` of them. Probabilities of 0 count
/// among the N prompts, and are never fitted; those of 1 stand as the largest double below. *Local.* n_fitted
/// = 0 if no more than these are above 0.
[[nodiscard]] TailFit fit_tail(std::span<const double> probabilities, std::int64_t least_fitted = 5);

/// The median of the largest probability among n prompts of the same kind: that of the share 1 - 2^(-1/n).
/// *Local.* NaN if nothing was fitted.
[[nodiscard]] double largest_among(const TailFit& fit, double n);

/// A value with an interval.
struct Forecast {
  double value = nan;
  Interval range{};
  static constexpr double level = 0.95;
};

/// largest_among() of the fit, with the percentile interval of `n_lists` lists of as many prompts drawn from
/// them with replacement (Efron 1979). *Local.* The same for the same seed.
[[nodiscard]] Forecast forecast_largest(std::span<const double> probabilities, double n, std::uint64_t seed,
                                        std::int64_t n_lists = 1000);

}  // namespace twistor::estimate
