// SPDX-License-Identifier: Apache-2.0
// Tokens that a language model has logits for and that are none: rows by which its vocabulary was padded.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "twistor/base/names.hpp"
#include "twistor/model/language_model.hpp"
#include "twistor/text/tokenizer.hpp"

namespace twistor::model {

/// What becomes of rows that no token has.
enum class PaddedTokens { mask, keep };
constexpr auto names_of(PaddedTokens) {
  return std::array{Named{PaddedTokens::mask, "mask"}, Named{PaddedTokens::keep, "keep"}};
}

/// Token ids [begin, end).
struct TokenRange {
  std::int64_t begin = 0, end = 0;
  friend bool operator==(const TokenRange&, const TokenRange&) = default;
};

/// The ids below lm.vocab_size() that no token of the tokenizer has, as ranges in increasing order. *Local.*
[[nodiscard]] std::vector<TokenRange> padded_tokens(const LanguageModel& lm,
                                                    const text::Tokenizer& tokenizer);

/// "7 rows (ids 121-127)"; "4 rows (ids 3, 9, 121-122)"; at most three ranges are spelled out.
[[nodiscard]] std::string describe(const std::vector<TokenRange>& tokens);

/// What to say where padded_tokens() are masked; empty if there are none. *Local.*
[[nodiscard]] std::string padding_notice(const LanguageModel& lm, const text::Tokenizer& tokenizer);

/// A language model whose p0 gives some tokens no probability: their logits are -inf, the others are those of
/// the model inside. The masked ids are part of the fingerprint.
class MaskedModel final : public LanguageModel {
 public:
  /// Throws Error(data) if no token would be left. `masked`: disjoint, in increasing order, within the
  /// vocabulary.
  MaskedModel(std::shared_ptr<const LanguageModel> base, std::vector<TokenRange> masked);

  [[nodiscard]] std::int64_t vocab_size() const override { return base_->vocab_size(); }
  [[nodiscard]] std::int64_t hidden_size() const override { return base_->hidden_size(); }
  [[nodiscard]] std::int64_t feature_size() const override { return base_->feature_size(); }
  [[nodiscard]] std::int64_t context_length() const override { return base_->context_length(); }
  [[nodiscard]] at::ScalarType hidden_dtype() const override { return base_->hidden_dtype(); }
  [[nodiscard]] std::string fingerprint() const override;
  [[nodiscard]] std::string description() const override { return base_->description(); }
  [[nodiscard]] EndRule end_rule() const override { return base_->end_rule(); }
  [[nodiscard]] std::unique_ptr<Cache> make_cache(std::int64_t n) const override {
    return base_->make_cache(n);
  }
  at::Tensor forward(std::span<const std::int64_t> tokens, Cache& cache) const override {
    return base_->forward(tokens, cache);
  }
  void logits(const at::Tensor& hidden, std::int64_t v_begin, std::int64_t v_end,
              at::Tensor& out) const override;
  [[nodiscard]] const device::Weight* output_matrix() const override { return base_->output_matrix(); }
  [[nodiscard]] float logit_cap() const override { return base_->logit_cap(); }
  [[nodiscard]] std::int64_t revision() const override { return base_->revision(); }
  [[nodiscard]] std::shared_ptr<const device::Engine> engine() const override { return base_->engine(); }

 private:
  std::shared_ptr<const LanguageModel> base_;
  std::vector<TokenRange> masked_;
};

/// `lm` with padded_tokens() masked; `lm` itself where there are none. *Local.*
[[nodiscard]] std::shared_ptr<const LanguageModel> mask_padded_tokens(std::shared_ptr<const LanguageModel> lm,
                                                                      const text::Tokenizer& tokenizer);

}  // namespace twistor::model
