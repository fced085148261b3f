// SPDX-License-Identifier: Apache-2.0
// phi(text) = p0(answer | a question about the text)^beta: the language model is its own judge.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "twistor/model/language_model.hpp"
#include "twistor/potential/registry.hpp"
#include "twistor/text/tokenizer.hpp"

namespace twistor::potential {

class JudgeScorer final : public TextScorer {
 public:
  struct Options {
    std::string question;            ///< with one {text} where the text goes
    std::string answer;              ///< encoded by itself: begin it with a space where one belongs
    double beta = 1;                 ///< above 0
    bool has_special_tokens = true;  ///< a question begins with the tokenizer's special tokens
  };

  /// Model and tokenizer must outlive this. Throws Error(config) on unfit options.
  JudgeScorer(const model::LanguageModel& lm, const text::Tokenizer& tokenizer, Options options);

  /// Throws Error(data) naming a text that is too long for the model's context.
  [[nodiscard]] std::vector<double> log_phi(std::span<const std::string> texts) const override;
  /// 0: no probability exceeds 1.
  [[nodiscard]] double log_phi_bound() const override { return 0; }
  [[nodiscard]] std::string description() const override;
  /// The special tokens in front of a question; empty where there are none.
  [[nodiscard]] std::string fingerprint() const override;

 private:
  [[nodiscard]] std::vector<std::int64_t> question_about(const std::string& text) const;
  void score(std::span<const std::vector<std::int64_t>> questions, std::span<const std::size_t> which,
             std::span<double> result) const;

  const model::LanguageModel& lm_;
  const text::Tokenizer& tokenizer_;
  Options options_;
  std::vector<std::int64_t> answer_;
};

/// Reads `template`, `answer` and `beta`. Needs the language model and its tokenizer.
[[nodiscard]] std::unique_ptr<TextScorer> make_judge(const PotentialOptions& options,
                                                     const TargetContext& context);

}  // namespace twistor::potential
