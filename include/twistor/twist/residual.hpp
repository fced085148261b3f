// SPDX-License-Identifier: Apache-2.0
// A learned head on top of a computed twist.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "twistor/twist/automaton.hpp"
#include "twistor/twist/head.hpp"

namespace twistor::twist {

/// log psi = log psi of the automaton + score of a head on the language model's hidden states. With
/// init_scale = 0 it begins as the computed twist; what is learned is where the n-gram model, which that
/// takes for p0, is wrong.
class ResidualTwist final : public Trainable {
 public:
  /// As HeadTwist, which reads the first columns, and AutomatonTwist, whose columns begin at
  /// options.first_column. Throws Error(config) for objectives with another link.
  ResidualTwist(std::string_view form, const TwistOptions& options);

  [[nodiscard]] std::int64_t vocab_size() const override { return head_.vocab_size(); }
  /// The head's features, then the automaton's, (n, D' + 3).
  [[nodiscard]] at::Tensor features(const at::Tensor& hidden) const override;
  void log_psi(const at::Tensor& features, std::int64_t v_begin, std::int64_t v_end,
               at::Tensor& out) const override;
  [[nodiscard]] std::string form() const override { return head_.form(); }
  [[nodiscard]] std::vector<double> values(const at::Tensor& hidden) const override {
    return head_.values(hidden);
  }

  /// The head's, which alone learns.
  [[nodiscard]] std::vector<Parameter>& parameters() override { return head_.parameters(); }
  [[nodiscard]] const std::vector<Parameter>& parameters() const override { return head_.parameters(); }
  void gradient(const GradientTerms& terms, const GradientSink& sink) const override {
    head_.gradient(terms, sink);
  }
  void refresh() override { head_.refresh(); }

 private:
  HeadTwist head_;
  AutomatonTwist computed_;
};

}  // namespace twistor::twist
