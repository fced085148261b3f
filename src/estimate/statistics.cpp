// SPDX-License-Identifier: Apache-2.0
// Means, standard errors, Student's t.
#include "twistor/estimate/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <fmt/format.h>

#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"

namespace twistor::estimate {
namespace {

constexpr const char* averaging = "averaging samples";

// The infinity that decides the mean, or 0 if there is none.
double infinite_part(std::span<const double> x) {
  double found = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    TWISTOR_CHECK(!std::isnan(x[i]), ErrorKind::internal, averaging, fmt::format("sample {} is NaN", i),
                  "look for non-finite log weights among the samples");
    if (!std::isinf(x[i])) continue;
    TWISTOR_CHECK(found == 0 || found == x[i], ErrorKind::internal, averaging,
                  "there are infinities of both signs, so the mean is undefined");
    found = x[i];
  }
  return found;
}

// The continued fraction of the incomplete beta function (DLMF 8.17.22), by Lentz's method; fast for x <
// (a+1)/(a+b+2).
double beta_fraction(double a, double b, double x) {
  constexpr double tiny = 1e-300;
  auto away_from_zero = [](double v) { return std::abs(v) < tiny ? tiny : v; };
  double c = 1, d = 1 / away_from_zero(1 - (a + b) * x / (a + 1)), value = d;
  for (int m = 1; m < 10000; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    double change = 1;
    for (const double term : {even, odd}) {
      d = 1 / away_from_zero(1 + term * d);
      c = away_from_zero(1 + term / c);
      change = c * d;
      value *= change;
    }
    if (std::abs(change - 1) < 1e-15) break;
  }
  return value;
}

// P(T > t) for t >= 0.
double t_upper_tail(double t, double dof) {
  return 0.5 * incomplete_beta(dof / 2, 0.5, dof / (dof + t * t));
}

}  // namespace

Estimate mean_estimate(std::span<const double> samples) {
  TWISTOR_CHECK(!samples.empty(), ErrorKind::internal, averaging, "there are none");
  const auto n = static_cast<std::int64_t>(samples.size());
  const auto count = static_cast<double>(n);
  if (const double infinite = infinite_part(samples); infinite != 0) return {infinite, nan, n};
  double sum = 0;
  for (const double x : samples) sum += x;
  const double first_mean = sum / count;
  // A second pass takes out the rounding of the first, which matters for many samples of nearly one value.
  double rest = 0, squares = 0;
  for (const double x : samples) {
    rest += x - first_mean;
    squares += (x - first_mean) * (x - first_mean);
  }
  const double mean = first_mean + rest / count;
  squares = std::max(0.0, squares - rest * rest / count);
  return {mean, n > 1 ? std::sqrt(squares / (count * (count - 1))) : nan, n};
}

Estimate weighted_mean_estimate(std::span<const double> values, std::span<const double> log_w) {
  TWISTOR_ASSERT(values.size() == log_w.size(), "one weight per value");
  TWISTOR_CHECK(!values.empty(), ErrorKind::internal, averaging, "there are none");
  TWISTOR_CHECK(log_sum_exp(log_w) > log_zero, ErrorKind::internal, averaging,
                "all importance weights are zero", "more samples, or a proposal that covers the target");
  const double top = *std::ranges::max_element(log_w);
  const auto n = static_cast<std::int64_t>(values.size());
  std::vector<double> used, weights;
  double sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double w = std::exp(log_w[i] - top);
    if (w <= 0) continue;
    used.push_back(values[i]);
    weights.push_back(w);
    sum += w;
  }
  for (double& w : weights) w /= sum;
  if (const double infinite = infinite_part(used); infinite != 0) return {infinite, nan, n};
  double mean = 0, squares = 0;
  for (std::size_t i = 0; i < used.size(); ++i) mean += weights[i] * used[i];
  for (std::size_t i = 0; i < used.size(); ++i)
    squares += weights[i] * weights[i] * (used[i] - mean) * (used[i] - mean);
  const auto count = static_cast<double>(n);
  return {mean, n > 1 ? std::sqrt(squares * count / (count - 1)) : nan, n};
}

Estimate log_mean_exp_estimate(std::span<const double> samples) {
  TWISTOR_CHECK(!samples.empty(), ErrorKind::internal, averaging, "there are none");
  const auto n = static_cast<std::int64_t>(samples.size());
  const double log_mean = log_sum_exp(samples) - std::log(static_cast<double>(n));
  if (log_mean == log_zero) return {log_mean, nan, n};
  std::vector<double> ratios;
  for (const double x : samples) ratios.push_back(std::exp(x - log_mean));
  return {log_mean, mean_estimate(ratios).se, n};
}

Estimate clustered_mean_estimate(std::span<const double> samples, std::int64_t n_clusters) {
  const auto n = std::min(samples.size(), static_cast<std::size_t>(n_clusters));
  TWISTOR_CHECK(n > 0, ErrorKind::internal, averaging, "there are none");
  std::vector<double> means, cluster;
  for (std::size_t c = 0; c < n; ++c) {
    cluster.clear();
    for (std::size_t i = c; i < samples.size(); i += n) cluster.push_back(samples[i]);
    means.push_back(mean_estimate(cluster).mean);
  }
  return mean_estimate(means);
}

double beta_quantile(double p, double a, double b) {
  TWISTOR_ASSERT(p > 0 && p < 1, "a quantile of the beta law needs 0 < p < 1");
  // By the exponent first: a quantile may be 1e-300.
  double low = 1;
  while (low > 1e-300 && incomplete_beta(a, b, low) > p) low /= 2;
  double high = std::min(1.0, 2 * low);
  for (int i = 0; i < 200 && high - low > 1e-15 * high; ++i) {
    const double middle = 0.5 * (low + high);
    (incomplete_beta(a, b, middle) > p ? high : low) = middle;
  }
  return 0.5 * (low + high);
}

Interval binomial_interval(std::int64_t n, std::int64_t N, double level) {
  TWISTOR_ASSERT(n >= 0 && n <= N && N >= 1, "at most as many successes as trials, of which there are some");
  const auto x = static_cast<double>(n), rest = static_cast<double>(N - n);
  const double tail = (1 - level) / 2;
  return {n == 0 ? 0 : beta_quantile(tail, x, rest + 1), n == N ? 1 : beta_quantile(1 - tail, x + 1, rest)};
}

Interval negative_binomial_interval(std::int64_t n, std::int64_t N, double level) {
  TWISTOR_ASSERT(n >= 1 && n <= N, "the last trial is a success");
  const auto x = static_cast<double>(n), rest = static_cast<double>(N - n);
  const double tail = (1 - level) / 2;
  // P(trials <= N) falls to the tail at `low`, P(trials >= N) = P(at most n - 1 of N - 1 succeed) at `high`.
  return {beta_quantile(tail, x, rest + 1), n == N ? 1 : beta_quantile(1 - tail, x, rest)};
}

double incomplete_beta(double a, double b, double x) {
  TWISTOR_ASSERT(a > 0 && b > 0 && x >= 0 && x <= 1,
                 "the incomplete beta function needs a, b > 0 and x in [0, 1]");
  if (x == 0 || x == 1) return x;
  const double log_front =
      std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) + a * std::log(x) + b * std::log1p(-x);
  if (x < (a + 1) / (a + b + 2)) return std::exp(log_front) * beta_fraction(a, b, x) / a;
  return 1 - std::exp(log_front) * beta_fraction(b, a, 1 - x) / b;
}

double student_t_quantile(double p, double dof) {
  TWISTOR_ASSERT(p > 0 && p < 1 && dof > 0, "a quantile of Student's t needs 0 < p < 1 and dof > 0");
  if (p == 0.5) return 0;
  if (p < 0.5) return -student_t_quantile(1 - p, dof);
  double low = 0, high = 1;
  while (t_upper_tail(high, dof) > 1 - p && high < 1e300) high *= 2;
  for (int i = 0; i < 200 && high - low > 1e-14 * high; ++i) {
    const double middle = 0.5 * (low + high);
    (t_upper_tail(middle, dof) > 1 - p ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

double half_width_95(const Estimate& estimate) {
  if (estimate.n < 2 || std::isnan(estimate.se)) return nan;
  return student_t_quantile(0.975, static_cast<double>(estimate.n - 1)) * estimate.se;
}

}  // namespace twistor::estimate
