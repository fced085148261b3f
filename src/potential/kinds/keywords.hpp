// SPDX-License-Identifier: Apache-2.0
// phi(text) = 1 if all of some words, one of others and none of further ones occur in the text, else a floor.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "twistor/potential/registry.hpp"

namespace twistor::potential {

/// Words or phrases; an empty list asks for nothing.
struct Keywords {
  std::vector<std::string> all_of, any_of, none_of;
};

/// Looks at the text, so that a word is found whatever tokens it is cut into. A word is found where no
/// letter, digit or underscore touches it; upper and lower case differ.
class KeywordsScorer final : public TextScorer {
 public:
  /// Throws Error(config) if there are no words, if one is both wanted and forbidden, or if log_floor is NaN
  /// or above 0.
  KeywordsScorer(Keywords keywords, double log_floor);

  [[nodiscard]] std::vector<double> log_phi(std::span<const std::string> texts) const override;
  [[nodiscard]] double log_phi_bound() const override { return 0; }
  [[nodiscard]] std::string description() const override;
  /// Over ASCII it decides as log_phi does; a character beyond it counts as a letter.
  [[nodiscard]] std::optional<TextAutomaton> automaton() const override;

 private:
  Keywords keywords_;
  double log_floor_;
};

/// Whether a word or phrase occurs in a text as a whole.
[[nodiscard]] bool has_word(const std::string& text, const std::string& word);

/// Reads `all_of`, `any_of`, `none_of`, `log_floor` and `beta` (the floor is phi^beta).
[[nodiscard]] std::unique_ptr<TextScorer> make_keywords(const PotentialOptions& options,
                                                        const TargetContext& context);

}  // namespace twistor::potential
