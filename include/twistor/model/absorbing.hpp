// Texts that may end early: behind a generated end-of-text token only that token follows.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "twistor/model/language_model.hpp"

namespace twistor::model {

/// A language model whose end-of-text token is absorbing: once it has been generated, p0(end | ...) = 1, so
/// that sequences of T tokens stand for texts of at most T. Tokens of the prompt never end anything; many
/// models begin every text with the same token.
///
/// The hidden state of an ended sequence is the zero vector, which no live prefix has; logits() tells ended
/// rows by it. So the rule holds wherever hidden states go: samplers, teacher-forced passes, enumeration.
class AbsorbingModel final : public LanguageModel {
 public:
  /// Throws Error(config) if the token is out of the vocabulary, Error(usage) if the prompt is empty.
  AbsorbingModel(std::shared_ptr<const LanguageModel> base, std::int64_t end_token,
                 std::int64_t prompt_tokens);

  [[nodiscard]] std::int64_t vocab_size() const override { return base_->vocab_size(); }
  [[nodiscard]] std::int64_t hidden_size() const override { return base_->hidden_size(); }
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
  [[nodiscard]] const device::PackedMatrix* output_matrix() const override { return base_->output_matrix(); }
  [[nodiscard]] std::int64_t absorbing_token() const override { return end_token_; }
  [[nodiscard]] const LanguageModel& without_end() const override { return *base_; }

 private:
  std::shared_ptr<const LanguageModel> base_;
  std::int64_t end_token_, prompt_tokens_;
};

/// The tokens of a generated sequence up to and with its first end token; all if there is none or the token
/// is -1.
[[nodiscard]] std::span<const std::int64_t> until_end(std::span<const std::int64_t> tokens,
                                                      std::int64_t end_token);
/// The same without the end token: what belongs to the text.
[[nodiscard]] std::span<const std::int64_t> before_end(std::span<const std::int64_t> tokens,
                                                       std::int64_t end_token);

}  // namespace twistor::model
