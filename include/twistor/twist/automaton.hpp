// SPDX-License-Identifier: Apache-2.0
// Twists that are computed, not learned: an automaton of phi times an n-gram model of p0, from the end
// backwards.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "twistor/model/ngram.hpp"
#include "twistor/model/token_automaton.hpp"
#include "twistor/twist/registry.hpp"
#include "twistor/twist/trainable.hpp"

namespace twistor::twist {

/// E[phi | state of the automaton, last token, steps left] where every token follows the one before by the
/// n-gram model. It is psi* where p0 is that n-gram model. Immutable.
class AutomatonValues {
 public:
  /// The backward pass: T products of all states with the n-gram model's p(v) and its pairs. A text that ends
  /// keeps the value that it ends with. *Local.* Throws Error(data) if phi is 0 for all texts, Error(config)
  /// where the values would take too much memory.
  AutomatonValues(std::shared_ptr<const model::TokenAutomaton> automaton, const model::Ngram& ngram,
                  model::EndRule end, std::int64_t T);

  /// log of the weight of `token` times what is then to be expected of the rest, when the text goes from
  /// `state` on with `token` and n_left tokens follow. -inf where that is 0.
  [[nodiscard]] double log_value(std::int64_t state, std::int64_t token, std::int64_t n_left) const;
  /// The same of the whole text: log Z, as the n-gram model has it after a prompt that ends with `before`.
  [[nodiscard]] double log_z(const model::Ngram& ngram, std::int64_t before) const;

  [[nodiscard]] const model::TokenAutomaton& automaton() const { return *automaton_; }
  [[nodiscard]] std::int64_t length() const { return T_; }
  [[nodiscard]] std::int64_t bytes() const;

 private:
  [[nodiscard]] double final_of(std::int64_t state, std::int64_t token) const;
  void fill_layer(const model::Ngram& ngram, std::int64_t n_left);

  std::shared_ptr<const model::TokenAutomaton> automaton_;
  model::EndRule end_;
  std::int64_t T_;
  std::vector<double> log_final_;     // (states), above 0 unless the automaton is exact
  std::vector<std::int32_t> column_;  // (V) of a token as a context; 0: of all that are none
  std::int64_t n_columns_ = 1;
  std::vector<double>
      log_layers_;  // (T - 1, states, columns): what is expected of 1 ... T - 1 further tokens
};

/// Reads the columns of a model::AutomatonModel. Nothing can be learned of it: no parameters.
class AutomatonTwist final : public Trainable {
 public:
  /// options: automaton_values and first_column.
  explicit AutomatonTwist(const TwistOptions& options);

  [[nodiscard]] std::int64_t vocab_size() const override { return values_->automaton().vocab_size; }
  [[nodiscard]] at::Tensor features(const at::Tensor& hidden) const override;
  void log_psi(const at::Tensor& features, std::int64_t v_begin, std::int64_t v_end,
               at::Tensor& out) const override;
  [[nodiscard]] std::string form() const override { return "automaton"; }
  [[nodiscard]] std::vector<Parameter>& parameters() override { return none_; }
  [[nodiscard]] const std::vector<Parameter>& parameters() const override { return none_; }
  void gradient(const GradientTerms&, const GradientSink&) const override {}
  void refresh() override {}

 private:
  std::shared_ptr<const AutomatonValues> values_;
  std::int64_t first_column_;
  std::vector<Parameter> none_;
};

/// The forms that are computed.
[[nodiscard]] std::span<const std::string_view> automaton_forms();

}  // namespace twistor::twist
