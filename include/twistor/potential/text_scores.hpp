// SPDX-License-Identifier: Apache-2.0
// What a potential says of texts that nobody sampled.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "twistor/model/load.hpp"
#include "twistor/model/masked_tokens.hpp"
#include "twistor/potential/registry.hpp"
#include "twistor/text/prompt.hpp"

namespace twistor::potential {

/// Where the language model lies and what it is asked after, for potentials that need either.
struct ScoringInputs {
  /// Asked, and may throw, only where the potential needs the model or its tokenizer.
  std::function<std::filesystem::path()> model;
  device::Precision precision = device::Precision::float32;
  model::PaddedTokens padded_tokens = model::PaddedTokens::mask;
  std::int64_t context = 0;  ///< model::LoadOptions::context
  text::PromptSource prompt;
};

/// Makes the potential with no more than it needs, and asks it.
class TextScores {
 public:
  /// Language model and tokenizer of `context` are replaced by those that are loaded. Throws what loading and
  /// make_potential() throw, Error(config) where texts need a tokenizer and the model has none.
  TextScores(PotentialOptions options, ScoringInputs inputs, TargetContext context);

  [[nodiscard]] std::string description() const;
  /// What to warn of: a prompt that the model cannot see; else empty.
  [[nodiscard]] const std::string& warning() const { return warning_; }
  /// (n) of texts, which replace generated ones and may be of any length; the potential sees the prompt where
  /// it looks at tokens, or reads prompt and answer as a pair. Throws Error(usage) for a text
  /// without tokens, and what the potential throws.
  [[nodiscard]] std::vector<double> log_phi(const std::vector<std::string>& texts) const;

 private:
  void load(const ScoringInputs& inputs, bool with_lm);
  void read_prompt(const ScoringInputs& inputs);

  TargetContext context_;
  std::shared_ptr<const model::LanguageModel> lm_;
  std::unique_ptr<text::Tokenizer> tokenizer_;
  std::unique_ptr<TextScorer> scorer_;    // for potentials of text,
  std::unique_ptr<Potential> potential_;  // for those of tokens
  std::vector<std::int64_t> prompt_;
  std::optional<std::string> question_;  // what texts answer, where they are read as pairs
  std::string warning_;
};

}  // namespace twistor::potential
