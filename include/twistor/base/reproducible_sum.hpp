// SPDX-License-Identifier: Apache-2.0
// Sums whose result does not depend on the order or grouping of the terms, so that every rank layout decides
// alike.
#pragma once

#include <array>
#include <cstdint>

namespace twistor {

/// Order-free sum of non-negative numbers given by their logarithms.
///
/// A term exp(x) is rounded once to 53 bits and cut into 32-bit digits on a grid of absolute exponents. The
/// three highest digits in use are kept as 64-bit integers; integer addition is associative and a digit that
/// is dropped here lies below the kept ones of any larger sum, so add() and merge() give the same bits in any
/// order (the idea of indexed summation, Demmel and Nguyen 2015). Up to 2^31 terms; each is right to 2^-52 of
/// the largest.
class LogSum {
 public:
  /// Adds exp(x), `times` times. -inf adds nothing. Throws Error(internal) on NaN or +inf.
  void add(double x, std::int64_t times = 1);
  /// Adds all that `other` holds.
  void merge(const LogSum& other) noexcept;
  /// The sum is value * 2^exponent, by sums and products alone: where a decision rests on it, machines whose
  /// libm differs agree. 0 if nothing was added.
  struct Scaled {
    double value = 0;
    std::int64_t exponent = 0;
  };
  [[nodiscard]] Scaled scaled() const noexcept;
  /// log of the sum; -inf if nothing was added.
  [[nodiscard]] double log() const noexcept;
  friend bool operator==(const LogSum&, const LogSum&) = default;

 private:
  void raise_to(std::int64_t top) noexcept;

  std::int64_t top_ = INT64_MIN;          // grid index of digits_[0]; INT64_MIN while empty
  std::array<std::int64_t, 3> digits_{};  // value = sum_i digits_[i] * 2^(32 (top_ - i))
};

/// What one step needs to know of all weights: their sum and the sum of their squares. 64 bytes, trivially
/// copyable.
struct WeightSums {
  LogSum sum;
  LogSum squares;

  /// The weight of `times` particles: the same bits as one at a time.
  void add(double log_w, std::int64_t times = 1) {
    sum.add(log_w, times);
    squares.add(2 * log_w, times);
  }
  void merge(const WeightSums& other) noexcept {
    sum.merge(other.sum);
    squares.merge(other.squares);
  }
  [[nodiscard]] double log_sum() const noexcept { return sum.log(); }
  /// Effective sample size (sum w)^2 / sum w^2; 0 if all weights vanish. From the sums' integers, without a
  /// logarithm: resampling is decided by it, and all ranks must decide alike.
  [[nodiscard]] double ess() const noexcept;
  friend bool operator==(const WeightSums&, const WeightSums&) = default;
};
static_assert(sizeof(WeightSums) == 64);

/// Order-free sum of any finite doubles below 2^61 in magnitude, in 2^-64 fixed point (128 bits). For
/// averages over particles, repeats and ranks. Throws Error(internal) on NaN, infinities and overflow.
class FixedPointSum {
 public:
  void add(double x);
  void merge(const FixedPointSum& other) noexcept;
  [[nodiscard]] double value() const noexcept;
  friend bool operator==(const FixedPointSum&, const FixedPointSum&) = default;

 private:
  std::uint64_t low_ = 0;  // two's complement, low and high words, so that the struct travels as two int64
  std::uint64_t high_ = 0;
};
static_assert(sizeof(FixedPointSum) == 16);

}  // namespace twistor
