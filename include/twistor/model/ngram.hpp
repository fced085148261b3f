// SPDX-License-Identifier: Apache-2.0
// An n-gram model of order 1 or 2: what a text may go on with, as far as its last token says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "twistor/model/end_rule.hpp"

namespace twistor::model {

/// p(v | u) = share of v among what follows u, + backoff(u) p(v); and p(v) for a u that is no context. A
/// value.
struct Ngram {
  struct Follower {
    std::int32_t token;
    double share;
  };
  std::vector<double> unigram{};         ///< (V) p(v)
  std::vector<std::int64_t> contexts{};  ///< increasing
  std::vector<std::size_t> begin{0};     ///< (contexts + 1) where the followers of each begin
  std::vector<Follower> followers{};
  std::vector<double> backoff{};  ///< (contexts)

  [[nodiscard]] std::int64_t vocab_size() const { return static_cast<std::int64_t>(unigram.size()); }
  /// p(v | u), (V).
  [[nodiscard]] std::vector<double> row(std::int64_t u) const;
};

/// Counts pairs of neighbours in n texts of T tokens, which all continue the token `before`, and backs off to
/// the given p(v), (V), by the rule of Witten and Bell (1991): backoff(u) = the share of the first
/// occurrences among what follows u. Nothing is counted after the end of a text, where the end follows for
/// certain. order: 1 counts no pairs. *Local.*
[[nodiscard]] Ngram fit_ngram(std::span<const std::int64_t> tokens, std::int64_t T, std::int64_t before,
                              std::vector<double> unigram, const EndRule& end, int order);

}  // namespace twistor::model
