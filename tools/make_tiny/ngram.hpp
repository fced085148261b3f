// SPDX-License-Identifier: Apache-2.0
// Interpolated Kneser-Ney n-gram models, the yardstick that the language model must beat.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace twistor::tiny {

/// Kneser-Ney smoothing with interpolation and one discount per order (Kneser and Ney 1995; Chen and Goodman
/// 1999). Contexts stop at the beginning of a story, where they are padded with the end token. At most 10
/// words, ids below 64.
class NGramModel {
 public:
  NGramModel(std::int64_t order, std::int64_t vocabulary);
  /// Counts one story (it ends with the end token). Call before the first log_prob.
  void count(std::span<const std::int64_t> story);
  /// Computes the discounts and totals from the counts.
  void finish();
  /// log p(story[i] | story[0..i)).
  [[nodiscard]] double log_prob(std::span<const std::int64_t> story, std::int64_t i) const;

 private:
  struct Context {
    double total = 0;  // sum of counts after this context
    double types = 0;  // how many different words were seen after it
  };
  struct Order {
    std::unordered_map<std::uint64_t, std::int64_t> counts;  // by n-gram
    std::unordered_map<std::uint64_t, Context> contexts;     // by the n-gram's first n - 1 words
    double discount = 0;
  };

  std::int64_t vocabulary_;
  std::vector<Order> orders_;  // orders_[n - 1]
};

}  // namespace twistor::tiny
