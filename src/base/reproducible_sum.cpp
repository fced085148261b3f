// SPDX-License-Identifier: Apache-2.0
// Order-free sums.
#include "twistor/base/reproducible_sum.hpp"

#include <cmath>
#include <limits>
#include <numbers>

#include "twistor/base/error.hpp"
#include "twistor/base/wide_int.hpp"

namespace twistor {
namespace {

constexpr std::int64_t digit_bits = 32;

Int128 join(std::uint64_t low, std::uint64_t high) noexcept {
  return static_cast<Int128>((static_cast<UInt128>(high) << 64) | low);
}

}  // namespace

void LogSum::raise_to(std::int64_t top) noexcept {
  if (top_ == INT64_MIN) {
    top_ = top;
    return;
  }
  while (top_ < top) {
    const std::int64_t steps = top - top_;
    if (steps >= 3) {
      digits_ = {};
      top_ = top;
      return;
    }
    digits_ = {0, digits_[0], digits_[1]};
    ++top_;
  }
}

void LogSum::add(double x, std::int64_t times) {
  TWISTOR_CHECK(!std::isnan(x) && x < std::numeric_limits<double>::infinity(), ErrorKind::internal,
                "adding weights in log space", "a log weight is NaN or +inf",
                "look for non-finite twist parameters or potentials");
  // Beyond these bounds exp(x) is 0 or the grid index would leave its range; no real weight comes near.
  if (x < -1e15) return;
  TWISTOR_CHECK(x < 1e15, ErrorKind::internal, "adding weights in log space", "a log weight exceeds 1e15");
  const double exponent = std::floor(x * std::numbers::log2e);
  // exp(x) = mantissa * 2^exponent; the remainder is taken against a split ln 2, so it stays exact for large
  // |x|.
  constexpr double ln2_high = 0x1.62e42fefa3800p-1, ln2_low = 0x1.ef35793c76730p-45;
  const double mantissa = std::exp((x - exponent * ln2_high) - exponent * ln2_low);  // about [1, 2)
  const auto e = static_cast<std::int64_t>(exponent) - 52;
  // Rounded to the nearest, without a call: from 2^52 on the product is whole already.
  const double product = mantissa * 0x1p52;
  const auto integer =
      static_cast<std::uint64_t>(product + (product < 0x1p52 ? 0.5 : 0.0));  // value = integer * 2^e
  const std::int64_t grid = e >> 5;                                          // floor(e / digit_bits)
  const auto shift = static_cast<int>(e - grid * digit_bits);                // 0..31
  const UInt128 wide = static_cast<UInt128>(integer) << shift;  // below 2^86: digits grid..grid+2
  raise_to(grid + 2);
  for (int i = 0; i < 3; ++i) {
    const std::int64_t index = top_ - (grid + i);
    if (index < 3)
      digits_[static_cast<std::size_t>(index)] +=
          times * static_cast<std::int64_t>((wide >> (32 * i)) & 0xFFFFFFFFu);
  }
}

void LogSum::merge(const LogSum& other) noexcept {
  if (other.top_ == INT64_MIN) return;
  raise_to(other.top_);
  for (std::int64_t i = 0; i < 3; ++i) {
    const std::int64_t index = top_ - (other.top_ - i);
    if (index < 3) digits_[static_cast<std::size_t>(index)] += other.digits_[static_cast<std::size_t>(i)];
  }
}

LogSum::Scaled LogSum::scaled() const noexcept {
  if (top_ == INT64_MIN) return {};
  double value = 0;
  for (int i = 2; i >= 0; --i)
    value = value * 0x1p-32 + static_cast<double>(digits_[static_cast<std::size_t>(i)]);
  // Horner from the lowest digit: value = d0 + d1 2^-32 + d2 2^-64.
  return {value, top_ * digit_bits};
}

double LogSum::log() const noexcept {
  const auto [value, exponent] = scaled();
  if (value == 0) return -std::numeric_limits<double>::infinity();
  return std::log(value) + static_cast<double>(exponent) * std::numbers::ln2;
}

double WeightSums::ess() const noexcept {
  const LogSum::Scaled total = sum.scaled(), square = squares.scaled();
  if (total.value == 0 || square.value == 0) return 0;
  return std::ldexp(total.value * total.value / square.value,
                    static_cast<int>(2 * total.exponent - square.exponent));
}

void FixedPointSum::add(double x) {
  TWISTOR_CHECK(std::isfinite(x) && std::abs(x) < 0x1p61, ErrorKind::internal, "averaging",
                "a term is not finite or exceeds 2^61", "look for non-finite log weights among the samples");
  const auto term = static_cast<Int128>(std::nearbyint(x)) << 64;
  const auto fraction = static_cast<Int128>(std::nearbyint((x - std::nearbyint(x)) * 0x1p64));
  const Int128 total = join(low_, high_) + term + fraction;
  low_ = static_cast<std::uint64_t>(static_cast<UInt128>(total));
  high_ = static_cast<std::uint64_t>(static_cast<UInt128>(total) >> 64);
}

void FixedPointSum::merge(const FixedPointSum& other) noexcept {
  const Int128 total = join(low_, high_) + join(other.low_, other.high_);
  low_ = static_cast<std::uint64_t>(static_cast<UInt128>(total));
  high_ = static_cast<std::uint64_t>(static_cast<UInt128>(total) >> 64);
}

double FixedPointSum::value() const noexcept {
  return static_cast<double>(join(low_, high_)) * 0x1p-64;
}

}  // namespace twistor
