// SPDX-License-Identifier: Apache-2.0
// phi(s) = 1 if one of some words or tokens occurs in s, else a floor.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "twistor/potential/registry.hpp"

namespace twistor::potential {

/// Occurrence is decided on tokens: a pattern must appear as consecutive tokens of the generated part.
class ContainsPotential final : public Potential {
 public:
  /// Throws Error(config) if there is no pattern or an empty one, or if log_floor is NaN or above 0.
  ContainsPotential(std::vector<std::vector<std::int64_t>> patterns, double log_floor);

  [[nodiscard]] std::vector<double> log_phi(const Sequences& sequences) const override;
  [[nodiscard]] double log_phi_bound() const override { return 0; }
  [[nodiscard]] std::string description() const override;
  [[nodiscard]] std::optional<model::TokenAutomaton> automaton(std::span<const std::int64_t> prompt,
                                                               std::int64_t vocab_size) const override;
  [[nodiscard]] const std::vector<std::vector<std::int64_t>>& patterns() const { return patterns_; }

 private:
  std::vector<std::vector<std::int64_t>> patterns_;  // sorted, distinct
  double log_floor_;
};

/// Reads `ids` (each a pattern of one token), `words` (each a pattern as it is encoded at the start of a text
/// and one as it is after a space), `log_floor` and `beta` (the floor is phi^beta). Needs a tokenizer for
/// `words`.
[[nodiscard]] std::unique_ptr<Potential> make_contains(const PotentialOptions& options,
                                                       const TargetContext& context);

}  // namespace twistor::potential
