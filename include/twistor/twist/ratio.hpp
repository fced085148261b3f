// SPDX-License-Identifier: Apache-2.0
// Twists as the ratio of a learned language model to the base model (Zhao et al. 2025, app. B).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "twistor/twist/registry.hpp"
#include "twistor/twist/trainable.hpp"

namespace twistor::twist {

/// psi_t(s_{1:t-1}, v) = q(v | s_{1:t-1}) / p0(v | s_{1:t-1}), where q is the body, with the base model's
/// frozen output matrix: no head, and nothing beside the body is learned. The twist-induced proposal is q
/// itself, sum_v p0 psi_t = 1, and psi = 1 at first.
class RatioTwist final : public Trainable {
 public:
  /// As BodyTwist, with options.base. Throws Error(config) without a body, where the base model has no output
  /// matrix, and for objectives that learn a value or another link.
  explicit RatioTwist(const TwistOptions& options);

  [[nodiscard]] std::int64_t vocab_size() const override { return base_.vocab_size(); }
  /// The hidden states of both, and the logarithms of what normalises their logits, (n, 2 D + 2).
  [[nodiscard]] at::Tensor features(const at::Tensor& hidden) const override;
  void log_psi(const at::Tensor& features, std::int64_t v_begin, std::int64_t v_end,
               at::Tensor& out) const override;
  [[nodiscard]] std::string form() const override;
  [[nodiscard]] bool is_normalised() const override { return true; }

  /// The body's.
  [[nodiscard]] std::vector<Parameter>& parameters() override { return parameters_; }
  [[nodiscard]] const std::vector<Parameter>& parameters() const override { return parameters_; }
  void gradient(const GradientTerms& terms, const GradientSink& sink) const override;
  void refresh() override;

 private:
  [[nodiscard]] at::Tensor body_columns(const at::Tensor& hidden) const {
    return hidden.narrow(1, first_column_, width_);
  }
  /// The loss's derivatives by the body's hidden states, (n, D).
  [[nodiscard]] at::Tensor on_hidden(const GradientTerms& terms) const;

  const model::LanguageModel& base_;
  std::int64_t width_, first_column_;
  std::shared_ptr<const device::Engine> engine_;
  const device::Weight& output_;
  std::shared_ptr<model::TrainableDecoder> body_;
  std::vector<std::int64_t> prompt_;
  std::vector<Parameter> parameters_;
};

/// Its name, as twist.form takes it.
[[nodiscard]] std::span<const std::string_view> ratio_forms();

}  // namespace twistor::twist
