// SPDX-License-Identifier: Apache-2.0
// log phi(s) = beta times scores of tokens: of all of them, or of the last alone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "twistor/potential/option_values.hpp"
#include "twistor/potential/registry.hpp"

namespace twistor::potential {

class TokenScores final : public Potential {
 public:
  /// log_phi_of: (V), beta included; -inf is legal. length: T if known, else 0. end: tokens
  /// after the one that ends a text do not count. Throws Error(config) on NaN or +inf.
  TokenScores(std::vector<double> log_phi_of, ScoreMode mode, std::int64_t length = 0,
              model::EndRule end = {});

  /// Throws Error(usage) on a token without a score, or on sequences of another length than the one given.
  [[nodiscard]] std::vector<double> log_phi(const Sequences& sequences) const override;
  /// The same of sequences of any length.
  [[nodiscard]] std::vector<double> log_phi_of_prefix(const Sequences& prefixes) const override;
  /// The highest score (bag: times T; without T, +inf unless all scores are at most 0).
  [[nodiscard]] double log_phi_bound() const override { return bound_; }
  [[nodiscard]] std::string description() const override;
  [[nodiscard]] std::optional<model::TokenAutomaton> automaton(std::span<const std::int64_t> prompt,
                                                               std::int64_t vocab_size) const override;

 private:
  std::vector<double> log_phi_of_;
  ScoreMode mode_;
  std::int64_t length_;
  model::EndRule end_;
  double bound_;
};

/// Reads lines "id score" (blank lines and lines that begin with # are skipped) into (vocab_size) scores;
/// tokens that are not listed score 0. vocab_size 0: as many as the highest id asks for. Throws
/// Error(no_input) if it cannot be read, Error(data) naming the line otherwise.
[[nodiscard]] std::vector<double> read_token_scores(const std::filesystem::path& path,
                                                    std::int64_t vocab_size);

/// Reads `scores` or else `table`, `mode`, `beta` and `length`.
[[nodiscard]] std::unique_ptr<Potential> make_token_scores(const PotentialOptions& options,
                                                           const TargetContext& context);

}  // namespace twistor::potential
