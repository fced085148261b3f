// SPDX-License-Identifier: Apache-2.0
// Texts that may end early: after a generated end-of-text token only that token follows.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "twistor/model/language_model.hpp"
#include "twistor/text/tokenizer.hpp"

namespace twistor::model {

/// A language model that follows an EndRule: once a text has ended, p0(rule.token() | ...) = 1.
///
/// A hidden state has one column more than the base model's, the last one: 1 if the text has ended, 0 if not.
/// logits() reads this mask, so the rule holds wherever hidden states go: samplers, exchanges between ranks,
/// teacher-forced passes, enumeration. Twists read the first feature_size() columns and never see it.
class AbsorbingModel final : public LanguageModel {
 public:
  /// Throws Error(config) if the rule has no token or one out of the vocabulary, Error(usage) if the prompt
  /// is empty.
  AbsorbingModel(std::shared_ptr<const LanguageModel> base, EndRule rule, std::int64_t prompt_tokens);
  AbsorbingModel(std::shared_ptr<const LanguageModel> base, std::int64_t end_token,
                 std::int64_t prompt_tokens)
      : AbsorbingModel(std::move(base), EndRule(end_token), prompt_tokens) {}

  [[nodiscard]] std::int64_t vocab_size() const override { return base_->vocab_size(); }
  [[nodiscard]] std::int64_t hidden_size() const override { return base_->hidden_size() + 1; }
  [[nodiscard]] std::int64_t feature_size() const override { return base_->feature_size(); }
  [[nodiscard]] std::int64_t context_length() const override { return base_->context_length(); }
  [[nodiscard]] at::ScalarType hidden_dtype() const override { return base_->hidden_dtype(); }
  [[nodiscard]] std::string fingerprint() const override;
  [[nodiscard]] std::string description() const override;
  [[nodiscard]] std::unique_ptr<Cache> make_cache(std::int64_t n) const override {
    return base_->make_cache(n);
  }
  at::Tensor forward(std::span<const std::int64_t> tokens, Cache& cache) const override;
  void logits(const at::Tensor& hidden, std::int64_t v_begin, std::int64_t v_end,
              at::Tensor& out) const override;
  [[nodiscard]] const device::Weight* output_matrix() const override { return base_->output_matrix(); }
  [[nodiscard]] float logit_cap() const override { return base_->logit_cap(); }
  [[nodiscard]] std::int64_t revision() const override { return base_->revision(); }
  [[nodiscard]] std::shared_ptr<const device::Engine> engine() const override { return base_->engine(); }
  [[nodiscard]] EndRule end_rule() const override { return rule_; }
  [[nodiscard]] const LanguageModel& without_end() const override { return *base_; }
  /// The mask of hidden states, // (n, D + 1) -> (n) of 0 and 1.
  [[nodiscard]] std::vector<char> mask_of(const at::Tensor& hidden) const;

 private:
  std::shared_ptr<const LanguageModel> base_;
  EndRule rule_;
  std::int64_t prompt_tokens_;
};

/// `lm` with these end tokens, or those of the tokenizer, which may be null, if there are none; prompts of
/// n_prompt tokens have not ended. *Local.* Throws Error(config) if there are no end tokens at all.
[[nodiscard]] std::shared_ptr<const LanguageModel> make_end_absorbing(std::shared_ptr<const LanguageModel> lm,
                                                                      std::vector<std::int64_t> ends,
                                                                      const text::Tokenizer* tokenizer,
                                                                      std::int64_t n_prompt);

/// `lm` for prompts of n_prompt tokens: itself where texts never end. *Local*, no copy of weights.
[[nodiscard]] std::shared_ptr<const LanguageModel> for_prompt(std::shared_ptr<const LanguageModel> lm,
                                                              std::int64_t n_prompt);

}  // namespace twistor::model
