// SPDX-License-Identifier: Apache-2.0
// phi(text) = 1 if a regular expression matches somewhere in the text, else a floor.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "twistor/potential/registry.hpp"
#include "twistor/text/regex.hpp"

namespace twistor::potential {

class RegexScorer final : public TextScorer {
 public:
  /// Throws Error(config) on a wrong pattern, or if log_floor is NaN or above 0.
  RegexScorer(const std::string& pattern, double log_floor);

  /// Throws Error(data) naming the text where a match takes too many steps.
  [[nodiscard]] std::vector<double> log_phi(std::span<const std::string> texts) const override;
  [[nodiscard]] double log_phi_bound() const override { return 0; }
  [[nodiscard]] std::string description() const override;
  /// Throws Error(config) on what no automaton can decide.
  [[nodiscard]] std::optional<TextAutomaton> automaton() const override;

 private:
  text::Regex regex_;
  double log_floor_;
};

/// Reads `pattern`, `log_floor` and `beta` (the floor is phi^beta).
[[nodiscard]] std::unique_ptr<TextScorer> make_regex(const PotentialOptions& options,
                                                     const TargetContext& context);

}  // namespace twistor::potential
