// SPDX-License-Identifier: Apache-2.0
// An automaton that walks along with a language model: one more member of a joined model.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "twistor/model/language_model.hpp"
#include "twistor/model/token_automaton.hpp"

namespace twistor::model {

/// Reads tokens and knows where the automaton stands. A hidden state has three columns: the state after the
/// generated tokens, their number, and the sum of their log weights; the prompt's tokens do not move it. It
/// gives no probabilities: it stands beside a model that does (JoinedModel).
class AutomatonModel final : public LanguageModel {
 public:
  static constexpr std::int64_t n_columns = 3;
  /// Of the vocabulary, context, dtype and device of `beside`, which need not outlive this.
  AutomatonModel(std::shared_ptr<const TokenAutomaton> automaton, const LanguageModel& beside,
                 std::int64_t n_prompt);

  [[nodiscard]] std::int64_t vocab_size() const override { return automaton_->vocab_size; }
  [[nodiscard]] std::int64_t hidden_size() const override { return n_columns; }
  [[nodiscard]] std::int64_t context_length() const override { return context_length_; }
  [[nodiscard]] at::ScalarType hidden_dtype() const override { return dtype_; }
  [[nodiscard]] std::string fingerprint() const override { return fingerprint_; }
  [[nodiscard]] std::string description() const override;
  [[nodiscard]] std::unique_ptr<Cache> make_cache(std::int64_t n) const override;
  at::Tensor forward(std::span<const std::int64_t> tokens, Cache& cache) const override;
  /// Throws Error(internal): there are none.
  void logits(const at::Tensor& hidden, std::int64_t v_begin, std::int64_t v_end,
              at::Tensor& out) const override;
  [[nodiscard]] std::shared_ptr<const device::Engine> engine() const override { return engine_; }

 private:
  std::shared_ptr<const TokenAutomaton> automaton_;
  std::string fingerprint_;
  std::shared_ptr<const device::Engine> engine_;
  at::ScalarType dtype_;
  std::int64_t context_length_, n_prompt_;
};

}  // namespace twistor::model
