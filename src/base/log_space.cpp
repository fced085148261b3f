// SPDX-License-Identifier: Apache-2.0
// Log-space sums.
#include "twistor/base/log_space.hpp"

#include <algorithm>
#include <cmath>

#include "twistor/base/error.hpp"

namespace twistor {
namespace {

double checked_max(std::span<const double> x) {
  double top = log_zero;
  for (const double v : x) {
    TWISTOR_CHECK(!std::isnan(v) && v != -log_zero, ErrorKind::internal, "adding weights in log space",
                  "a log weight is NaN or +inf", "look for non-finite twist parameters or potentials");
    top = std::max(top, v);
  }
  return top;
}

}  // namespace

double log_sum_exp(std::span<const double> x) {
  const double top = checked_max(x);
  if (top == log_zero) return log_zero;
  double sum = 0;
  for (const double v : x) sum += std::exp(v - top);
  return top + std::log(sum);
}

double log_add_exp(double a, double b) noexcept {
  const double top = std::max(a, b);
  return top == log_zero ? log_zero : top + std::log1p(std::exp(std::min(a, b) - top));
}

double log_sigmoid(double x) noexcept {
  return x >= 0 ? -std::log1p(std::exp(-x)) : x - std::log1p(std::exp(x));
}

double effective_sample_size(std::span<const double> log_w) {
  const double top = checked_max(log_w);
  if (top == log_zero) return 0;
  double sum = 0, squares = 0;
  for (const double v : log_w) {
    const double w = std::exp(v - top);
    sum += w;
    squares += w * w;
  }
  return sum * sum / squares;
}

}  // namespace twistor
