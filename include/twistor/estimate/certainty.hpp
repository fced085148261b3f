// SPDX-License-Identifier: Apache-2.0
// How sure a run is: probabilities of events with their intervals, and one-sided statements without any
// assumption.
#pragma once

#include <cstdint>
#include <span>

#include "twistor/estimate/evaluation.hpp"

namespace twistor::estimate {

/// A 95 % interval for Z from independent log Z_hat with E[Z_hat] = Z, on the scale of Z, and their mean.
/// Student's t on the mean, with the standard error taken relative to the mean so that ends are positive. Few
/// runs seldom hold the rare ones that carry the mean, so the upper end is that of Student's t on the mean of
/// 1 / Z_hat of the runs that pinned exact samples (`upper`, empty or NaN throughout without; `n_exact` as
/// KnownTarget), for whom these are the rule; without such runs the largest of Student's, of Hall's for
/// skewed values (1992), and of Cox's for a log-normal law (Land 1972; log Z_hat is nearly normal, Berard et
/// al. 2014). *Local.* NaN ends for fewer than two runs, or if all vanished.
struct MeanInterval {
  double mean;
  Interval range;
};
[[nodiscard]] MeanInterval mean_z_interval(std::span<const double> lower, std::span<const double> upper = {},
                                           std::int64_t n_exact = 0);

/// P(event) = Z of an indicator: exact where Z is known, else from rejection or from the runs, whichever has
/// the smaller relative error. *Local.*
[[nodiscard]] Probability probability_of(std::span<const double> lower, std::span<const double> upper,
                                         const KnownTarget& known);

/// log Z >= low and log Z <= high, each with probability 95 % and without any assumption on the twist.
/// Products and means of R independent Z_hat have the means Z^R and Z, those of 1 / Z_hat under conditional
/// runs Z^-R and 1 / Z, so Markov's inequality at 2.5 % each gives
///   low = max(mean log Z_hat - log(40) / R, log mean Z_hat - log 40)
/// and likewise high, over means within the exact samples that runs share. NaN if nothing is known; `upper`
/// may be NaN throughout. *Local.*
[[nodiscard]] Interval certified_log_z(std::span<const double> lower, std::span<const double> upper,
                                       std::int64_t n_exact);

}  // namespace twistor::estimate
