// SPDX-License-Identifier: Apache-2.0
// phi(text) = exp(beta * valence of its words), with valences from a lexicon.
#pragma once

#include <limits>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "twistor/potential/option_values.hpp"
#include "twistor/potential/registry.hpp"

namespace twistor::potential {

/// Entries by token, spelled as in the file.
using Lexicon = std::map<std::string, double, std::less<>>;

/// Reads lines "token TAB valence", with anything after another TAB; blank lines are skipped, and of a token
/// that comes twice the last counts, as in VADER (Hutto and Gilbert 2014), whose file this reads. *Local.*
/// Throws Error(data) naming the line: no TAB, no token, a token that is no UTF-8, no finite number.
[[nodiscard]] Lexicon parse_lexicon(std::string_view file, const std::string& doing);

class LexiconScorer final : public TextScorer {
 public:
  struct Options {
    LexiconMode mode = LexiconMode::bag;
    double beta = 1;                                       ///< above 0
    double cap = std::numeric_limits<double>::infinity();  ///< a text's valence counts up to here
  };

  /// Throws Error(config) if beta <= 0, cap is NaN or -inf, or the lexicon is empty.
  LexiconScorer(Lexicon lexicon, Options options);

  /// Words are what white space (Unicode's) separates. A word's valence is that of the first of these that is
  /// in the lexicon: the word, the word in lower case, the word without punctuation at its ends, that in
  /// lower case; else 0. So emoticons count where the lexicon has them. A text without words has valence 0.
  [[nodiscard]] std::vector<double> log_phi(std::span<const std::string> texts) const override;
  /// beta times the highest valence that a text can have: infinite only for bags without a cap.
  [[nodiscard]] double log_phi_bound() const override { return bound_; }
  [[nodiscard]] std::string description() const override;

 private:
  /// nullptr if none is for this word.
  [[nodiscard]] const Lexicon::value_type* entry_of(std::string_view word) const;
  [[nodiscard]] double valence_of_text(std::string_view text) const;

  Lexicon lexicon_;
  Options options_;
  double bound_;
};

/// Reads `lexicon` (a file), `mode` (bag, distinct or mean), `cap` and `beta`.
[[nodiscard]] std::unique_ptr<TextScorer> make_lexicon(const PotentialOptions& options,
                                                       const TargetContext& context);

}  // namespace twistor::potential
