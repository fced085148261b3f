// SPDX-License-Identifier: Apache-2.0
// Intervals and certificates.
#include "twistor/estimate/certainty.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "twistor/base/log_space.hpp"

namespace twistor::estimate {
namespace {

constexpr double tail = 0.05;

/// Upper end of the interval of Cox for the logarithm of the mean of a log-normal law.
double cox_upper(std::span<const double> logs, double t) {
  const Estimate mean = mean_estimate(logs);
  const auto n = static_cast<double>(mean.n);
  const double variance = mean.se * mean.se * n;
  return mean.mean + variance / 2 + t * std::sqrt(variance / n + variance * variance / (2 * (n - 1)));
}

/// Upper end of Student's t after the transformation of Hall (1992) that takes the skewness out of it, on the
/// scale of the logarithm like t's own: log mean + what is added, relative to the mean.
double hall_upper(std::span<const double> logs, double log_mean, double t) {
  const auto n = static_cast<double>(logs.size());
  double squares = 0, cubes = 0;
  for (const double x : logs) {
    const double d = std::expm1(x - log_mean);  // relative to the mean
    squares += d * d;
    cubes += d * d * d;
  }
  if (squares == 0) return log_mean;
  const double skewness = cubes / n / std::pow(squares / n, 1.5), sd = std::sqrt(squares / (n - 1)),
               z = -t / std::sqrt(n) - skewness / (6 * n);
  const double w = std::abs(skewness) < 1e-6 ? z : 3 / skewness * (std::cbrt(1 + skewness * z) - 1);
  return log_mean - w * sd;
}

/// log(1/tail): what Markov's inequality costs in n independent statements, at half the tail for each of the
/// two kinds.
double certified_low(std::span<const double> log_values) {
  const double cost = std::log(2 / tail), n = static_cast<double>(log_values.size());
  const double product = mean_estimate(log_values).mean - cost / n,
               mean = log_sum_exp(log_values) - std::log(n) - cost;
  return std::max(product, mean);
}

/// log of the mean of 1 / Z_hat over the runs that pin the same exact sample, for each of them; empty if
/// there are no such runs.
std::vector<double> log_inverse_by_sample(std::span<const double> upper, std::int64_t n_exact) {
  std::vector<double> out;
  if (std::ranges::any_of(upper, [](double x) { return std::isnan(x); })) return out;
  const std::size_t n =
      n_exact > 0 ? std::min(upper.size(), static_cast<std::size_t>(n_exact)) : upper.size();
  for (std::size_t c = 0; c < n; ++c) {
    std::vector<double> inverse;
    for (std::size_t i = c; i < upper.size(); i += n) inverse.push_back(-upper[i]);
    out.push_back(log_sum_exp(inverse) - std::log(static_cast<double>(inverse.size())));
  }
  return out;
}

}  // namespace

MeanInterval mean_z_interval(std::span<const double> lower, std::span<const double> upper,
                             std::int64_t n_exact) {
  const Estimate mean = log_mean_exp_estimate(lower);
  MeanInterval out{std::exp(mean.mean), {}};
  if (mean.n < 2 || mean.mean == log_zero) return out;
  const double t = student_t_quantile(1 - tail / 2, static_cast<double>(mean.n - 1));
  double high = std::max(mean.mean + t * mean.se, hall_upper(lower, mean.mean, t));
  if (std::ranges::count(lower, log_zero) == 0) high = std::max(high, cox_upper(lower, t));
  if (const std::vector<double> inverse = log_inverse_by_sample(upper, n_exact); inverse.size() > 1) {
    const Estimate e = log_mean_exp_estimate(inverse);
    high =
        std::max(mean.mean, student_t_quantile(1 - tail / 2, static_cast<double>(e.n - 1)) * e.se - e.mean);
  }
  out.range = {std::exp(mean.mean - t * mean.se), std::exp(high)};
  return out;
}

Probability probability_of(std::span<const double> lower, std::span<const double> upper,
                           const KnownTarget& known) {
  Probability out;
  for (const auto& [log_z, method] :
       {std::pair{known.given_log_z, LogZMethod::given}, std::pair{known.exact_log_z, LogZMethod::exact}})
    if (!std::isnan(log_z)) return {std::exp(log_z), {std::exp(log_z), std::exp(log_z)}, method};
  double se = -log_zero;
  if (!lower.empty()) {
    const MeanInterval runs = mean_z_interval(lower, upper, known.n_exact);
    if (runs.mean > 0) {
      out = {runs.mean, {runs.range.low, std::min(1.0, runs.range.high)}, LogZMethod::mean_z_hat};
      se = log_mean_exp_estimate(lower).se;
    }
  }
  if (!known.rejection || known.rejection->n_draws == 0) return out;
  const LogZ z = rejection_log_z(*known.rejection);
  const bool is_better = std::isnan(se) || out.method == LogZMethod::none || z.se < se;
  if (is_better)
    out = {known.rejection->n_accepted > 0 ? std::exp(z.value) : 0,
           {std::exp(z.low), std::exp(z.high)},
           LogZMethod::rejection};
  return out;
}

Interval certified_log_z(std::span<const double> lower, std::span<const double> upper, std::int64_t n_exact) {
  Interval out;
  if (!lower.empty()) out.low = certified_low(lower);
  if (const std::vector<double> inverse = log_inverse_by_sample(upper, n_exact); !inverse.empty())
    out.high = -certified_low(inverse);
  return out;
}

}  // namespace twistor::estimate
