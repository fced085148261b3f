// SPDX-License-Identifier: Apache-2.0
// Texts that stand for sigma by their weights, as every rank has them.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace twistor::learn {

struct WeightedTexts {
  std::vector<std::int64_t> tokens;  ///< (n, T)
  /// (n) what they count: E[sum of exp(log_w) f(s)] = Z E_sigma[f], unless they were annealed.
  std::vector<double> log_w;
  std::vector<double> log_phi;  ///< (n)

  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(log_w.size()); }
  /// log Z_hat, the sum of what they count; -inf if there are none. *Local.*
  [[nodiscard]] double log_z() const;
  /// Effective number; 0 if there are none, or all count nothing. *Local.*
  [[nodiscard]] double ess() const;
  /// The numbers range.first to range.second - 1 among n texts that are drawn by weight: systematically, so
  /// that a text which counts W of the whole comes floor(n W) or ceil(n W) times, and n W on average. Some
  /// text must count. *Local*, and the same for the whole on any number of ranks.
  [[nodiscard]] std::vector<std::int64_t> choose(std::int64_t n, std::pair<std::int64_t, std::int64_t> range,
                                                 std::uint64_t seed) const;
};

/// Samples from elsewhere that a first round learns from.
struct GivenTexts {
  WeightedTexts texts;
  std::string origin;  ///< the file, for messages
};

}  // namespace twistor::learn
