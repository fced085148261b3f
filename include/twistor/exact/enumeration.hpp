// SPDX-License-Identifier: Apache-2.0
// The target known completely: every sequence, its weight, log Z and the optimal twists.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "twistor/base/interrupt.hpp"
#include "twistor/model/language_model.hpp"
#include "twistor/potential/potential.hpp"

namespace twistor::exact {

struct EnumerationOptions {
  std::int64_t limit = 20'000'000;  ///< most sequences V^T to go through; at most 2^32
  std::int64_t n_together = 0;      ///< prefixes in one forward; 0 chooses. Results do not depend on it
  bool keep_twists = false;         ///< keep log p0 of every prefix, which log_optimal_twist() needs
  Steering steering{};              ///< looked at after each chunk; the observer counts sequences of V^T
};

/// sigma(s) = p0(s) phi(s) / Z over all s with p0(s) phi(s) > 0, in lexicographic order. Immutable.
class Enumeration {
 public:
  /// log sum_s p0(s) phi(s); -inf if phi is 0 everywhere.
  [[nodiscard]] double log_z() const { return log_z_; }
  [[nodiscard]] std::int64_t length() const { return length_; }  // T
  /// False if an interrupt ended it: then nothing else here means anything.
  [[nodiscard]] bool is_complete() const { return is_complete_; }
  /// Sequences with p0 phi > 0.
  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(codes_.size()); }
  /// The i-th of them, (T), and its log p0 phi.
  [[nodiscard]] std::vector<std::int64_t> sequence(std::int64_t i) const;
  [[nodiscard]] double log_weight(std::int64_t i) const { return log_w_[static_cast<std::size_t>(i)]; }

  /// An exact sample of sigma, (T), by (seed, Stream::enumeration, index). Throws Error(data) if Z = 0.
  [[nodiscard]] std::vector<std::int64_t> draw(std::uint64_t seed, std::int64_t index) const;
  /// log sigma(s), -inf where phi or p0 is 0. Throws Error(usage) unless s is T tokens of the vocabulary.
  [[nodiscard]] double log_sigma(std::span<const std::int64_t> s) const;
  /// log psi*_t(prefix) = log sum over continuations of p0(continuation | prefix) phi, for t = 0 .. T; t = 0
  /// gives log Z and t = T log phi. -inf where the prefix itself has p0 = 0. Takes V^(T-t): for small cases
  /// and tests. Throws Error(usage) unless made with keep_twists.
  [[nodiscard]] double log_optimal_twist(std::span<const std::int64_t> prefix) const;

 private:
  friend class Enumerator;
  [[nodiscard]] std::uint64_t code_of(std::span<const std::int64_t> prefix) const;
  void finish();

  std::int64_t vocab_size_ = 0;
  std::int64_t length_ = 0;
  double log_z_ = 0;
  bool is_complete_ = true;
  std::vector<std::uint32_t> codes_;  // (n) sequences as numbers in base V, increasing
  std::vector<double> log_w_;         // (n) log p0 phi
  std::vector<double> cumulative_;    // sigma of all up to and with each block of sequences
  bool has_twists_ = false;
  std::vector<std::vector<double>> log_p0_;  // [t](V^t) log p0 of prefixes, t < T
  std::vector<double> log_p0_leaves_;        // (n)
};

/// Goes through all V^T sequences after the prompt, one forward per prefix of fewer than T tokens, a bounded
/// number of prefixes at a time. *Local.* Throws Error(config) if V^T exceeds the limit.
[[nodiscard]] Enumeration enumerate(const model::LanguageModel& lm, const potential::Potential& potential,
                                    std::span<const std::int64_t> prompt, std::int64_t T,
                                    const EnumerationOptions& options = {});

}  // namespace twistor::exact
