// SPDX-License-Identifier: Apache-2.0
// Means with standard errors: plain, self-normalised by importance weights, and Student's t intervals.
#pragma once

#include <cstdint>
#include <limits>
#include <span>

namespace twistor::estimate {

/// What is not known.
inline constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// A mean over n samples and its standard error.
struct Estimate {
  double mean = nan;
  double se = nan;     ///< NaN if it cannot be told (one sample, or infinite ones)
  std::int64_t n = 0;  ///< number of samples
};

/// Two ends; NaN where one is not known.
struct Interval {
  double low = nan, high = nan;
};

/// Mean of independent samples; se = sqrt(sum (x - mean)^2 / (n (n - 1))). Samples count in the order given,
/// which is global order, so the bits do not depend on ranks. -inf (or +inf) among the samples makes the mean
/// infinite and the standard error NaN. Throws Error(internal) on NaN, on infinities of both signs, and on no
/// samples.
[[nodiscard]] Estimate mean_estimate(std::span<const double> samples);

/// Self-normalised importance sampling: sum W x with W = softmax(log_w), and the standard error by the delta
/// method, sqrt(n / (n - 1) sum W^2 (x - mean)^2), which is mean_estimate's for equal weights. NaN if n = 1.
/// Values of zero weight do not count, even if they are infinite. Throws Error(internal) as mean_estimate,
/// and if all weights are zero.
[[nodiscard]] Estimate weighted_mean_estimate(std::span<const double> values, std::span<const double> log_w);

/// log of the mean of exp(x), for instance of Z_hat from samples of log Z_hat, with the delta method's
/// standard error. All -inf: mean -inf, se NaN.
[[nodiscard]] Estimate log_mean_exp_estimate(std::span<const double> samples);

/// Mean over clusters: sample i belongs to cluster i mod n_clusters, and samples of one cluster depend on one
/// another (repeats that pin the same exact sample). The mean of the clusters' means, its standard error over
/// them, and n = their number, so that n - 1 are the degrees of freedom. Throws as mean_estimate.
[[nodiscard]] Estimate clustered_mean_estimate(std::span<const double> samples, std::int64_t n_clusters);

/// The p-quantile of Student's t with `dof` degrees of freedom (dof > 0, 0 < p < 1), right to 1e-10 relative.
[[nodiscard]] double student_t_quantile(double p, double dof);

/// Half the width of the two-sided 95 % interval, t(0.975, n - 1) * se. NaN where se is.
[[nodiscard]] double half_width_95(const Estimate& estimate);

/// The interval of Clopper and Pearson (1934) for a probability: n of N independent trials succeeded. Covers
/// the truth with at least the probability `level`.
[[nodiscard]] Interval binomial_interval(std::int64_t n, std::int64_t N, double level);
/// The same where trials went on until the n-th success, which was the N-th trial.
[[nodiscard]] Interval negative_binomial_interval(std::int64_t n, std::int64_t N, double level);

/// x with I_x(a, b) = p, for a, b > 0 and 0 < p < 1, right to 1e-12 relative.
[[nodiscard]] double beta_quantile(double p, double a, double b);

/// I_x(a, b), the regularised incomplete beta function, for a, b > 0 and 0 <= x <= 1.
[[nodiscard]] double incomplete_beta(double a, double b, double x);

}  // namespace twistor::estimate
