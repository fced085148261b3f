// SPDX-License-Identifier: Apache-2.0
// The interface of every autoregressive language model p0.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "twistor/device/engine.hpp"
#include "twistor/model/cache.hpp"
#include "twistor/model/end_rule.hpp"

namespace twistor::model {

/// A language model as a map from tokens to hidden states, and from hidden states to unnormalised
/// log-probabilities.
///
/// A row of any result depends on that row's tokens alone: the same bits come out in every batch, with every
/// cache history and on every rank. Hidden states are float32 (tabular models: float64).
class LanguageModel {
 public:
  virtual ~LanguageModel() = default;

  [[nodiscard]] virtual std::int64_t vocab_size() const = 0;   // V
  [[nodiscard]] virtual std::int64_t hidden_size() const = 0;  // D
  /// Leading columns of a hidden state that the model's own head reads, and heads of twists with it. Less
  /// than hidden_size() where something else stands beside them: an end mask, other models.
  [[nodiscard]] virtual std::int64_t feature_size() const { return hidden_size(); }
  [[nodiscard]] virtual std::int64_t context_length() const = 0;  // most tokens a sequence may have
  /// at::kFloat or at::kDouble.
  [[nodiscard]] virtual at::ScalarType hidden_dtype() const = 0;
  /// sha256 of what defines the model's outputs (weights' file, table), as hex: ties checkpoints to models.
  [[nodiscard]] virtual std::string fingerprint() const = 0;
  /// One line for people: family, parameters, dtype.
  [[nodiscard]] virtual std::string description() const = 0;

  /// Where generated texts end (see AbsorbingModel); by default they never do.
  [[nodiscard]] virtual EndRule end_rule() const { return {}; }
  /// The token after which only itself follows; -1 if there is none.
  [[nodiscard]] std::int64_t absorbing_token() const { return end_rule().token(); }
  /// The same model without that rule: for texts that were not generated.
  [[nodiscard]] virtual const LanguageModel& without_end() const { return *this; }

  /// A cache of n empty sequences.
  [[nodiscard]] virtual std::unique_ptr<Cache> make_cache(std::int64_t n) const = 0;

  /// Appends L tokens to each of the cache's n sequences. tokens: (n * L) row-major, 0 <= token < V.
  /// Returns the hidden states of the new tokens, (n, L, D). Throws Error(usage) when the context would
  /// overflow.
  virtual at::Tensor forward(std::span<const std::int64_t> tokens, Cache& cache) const = 0;

  /// Unnormalised log p0(v | ...) for v in [v_begin, v_end) into out, (n, v_end - v_begin). hidden: (n, D).
  virtual void logits(const at::Tensor& hidden, std::int64_t v_begin, std::int64_t v_end,
                      at::Tensor& out) const = 0;

  /// The output embedding, (V, D), with which logits() multiplies hidden states; nullptr if there is none. It
  /// lives as long as the model.
  [[nodiscard]] virtual const device::Weight* output_matrix() const { return nullptr; }

  /// Logits are cap tanh(x / cap) of these products x; 0: the products themselves.
  [[nodiscard]] virtual float logit_cap() const { return 0; }

  /// Another number whenever the weights have changed: what was computed with them before, caches among it,
  /// is out of date then. 0 for weights that never change.
  [[nodiscard]] virtual std::int64_t revision() const { return 0; }

  /// Who computes: hidden states and scores lie on its device.
  [[nodiscard]] virtual std::shared_ptr<const device::Engine> engine() const { return device::cpu_engine(); }
};

/// log p0(tokens[i] | tokens[<i]) for i >= 1 of one sequence, float64, (L - 1). Throws Error(usage) on a bad
/// token.
[[nodiscard]] std::vector<double> score(const LanguageModel& lm, std::span<const std::int64_t> tokens);

}  // namespace twistor::model
