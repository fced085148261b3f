// SPDX-License-Identifier: Apache-2.0
// Weights as whole numbers.
#include "integer_weights.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "at.hpp"
#include "twistor/base/error.hpp"

namespace twistor::smc {
namespace {

// exp(x) for -50 <= x <= 0 within 2 units in the last place, from sums and products alone: the same bits on
// every processor, where a libm may pick different code. Cody and Waite's reduction, Taylor's series to
// degree 13.
inline double portable_exp(double x) noexcept {
  constexpr double log2_e = 0x1.71547652b82fep+0, ln2_high = 0x1.62e42fefa3800p-1,
                   ln2_low = 0x1.ef35793c76730p-45;
  constexpr double to_integer = 0x1.8p52;  // adding and subtracting it rounds to the nearest integer
  const double shifted = x * log2_e + to_integer, n = shifted - to_integer;
  const double r = (x - n * ln2_high) - n * ln2_low;
  double p = 1.0 / 6227020800.0;
  p = p * r + 1.0 / 479001600.0;
  p = p * r + 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  // The low bits of `shifted` are those of n, so 2^n needs no conversion, for which AVX2 has no vectors.
  return p * std::bit_cast<double>((std::bit_cast<std::uint64_t>(shifted) + 1023) << 52);
}

// A whole number from 0 to 2^53 as an integer, for the same reason in halves whose bits stand in the
// mantissa.
inline std::uint64_t whole(double x) noexcept {
  constexpr std::uint64_t mantissa = (std::uint64_t{1} << 52) - 1;
  const double high = std::floor(x * 0x1p-32), low = x - high * 0x1p32;
  return ((std::bit_cast<std::uint64_t>(high + 0x1p52) & mantissa) << 32) +
         (std::bit_cast<std::uint64_t>(low + 0x1p52) & mantissa);
}

double checked_max(std::span<const double> log_w) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  std::array<double, 8> tops;  // side by side, as vectors
  tops.fill(-infinity);
  std::array<std::int64_t, 8> n_good{};
  for (std::size_t i = 0; i < log_w.size(); i += tops.size()) {
    for (std::size_t j = 0; j < std::min(tops.size(), log_w.size() - i); ++j) {
      const double x = log_w[i + j];
      tops[j] = x > tops[j] ? x : tops[j];
      n_good[j] += x < infinity ? 1 : 0;
    }
  }
  const double top = *std::ranges::max_element(tops);
  TWISTOR_CHECK(std::reduce(n_good.begin(), n_good.end()) == static_cast<std::int64_t>(log_w.size()),
                ErrorKind::internal, "resampling", "a log weight is NaN or +inf",
                "look for non-finite twist parameters or potentials");
  TWISTOR_ASSERT(top > -std::numeric_limits<double>::infinity(),
                 "resampling needs at least one weight above zero; the caller ends a vanished population");
  return top;
}

// The integers of n weights, and their sum. By pointers and without a choice between two numbers: so the loop
// becomes one of vectors.
std::uint64_t fill(const double* log_w, std::size_t n, double top, double scale, std::uint64_t* w) noexcept {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double x = log_w[i] - top, at_least_50 = x > -50.0 ? x : -50.0;
    const double rounded = std::nearbyint(portable_exp(at_least_50) * scale);
    const std::uint64_t at_least_1 = whole(rounded > 1.0 ? rounded : 1.0);
    w[i] = at_least_1 & -static_cast<std::uint64_t>(log_w[i] >= std::numeric_limits<double>::lowest());
    sum += w[i];
  }
  return sum;
}

}  // namespace

std::uint64_t integer_weights(std::span<const double> log_w, std::span<std::uint64_t> integers) {
  const double top = checked_max(log_w);
  const int bits = std::min(53, 62 - static_cast<int>(std::bit_width(log_w.size() - 1)));
  return fill(log_w.data(), log_w.size(), top, std::ldexp(1.0, bits), integers.data());
}

}  // namespace twistor::smc
