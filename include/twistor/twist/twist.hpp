// SPDX-License-Identifier: Apache-2.0
// Twist functions psi_t: what a prefix is worth, as far as the future value of phi goes.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "twistor/model/language_model.hpp"

namespace twistor::twist {

/// log psi_t(s_{1:t-1}, v) for all v, from the hidden state of position t - 1. *Local.* A row depends on its
/// hidden state alone and has the same bits in every batch.
class Twist {
 public:
  virtual ~Twist() = default;
  [[nodiscard]] virtual std::int64_t vocab_size() const = 0;
  /// What the vocabulary product takes: (n, D) -> (n, D'), so that it is computed once for all tiles of the
  /// vocabulary.
  [[nodiscard]] virtual at::Tensor features(const at::Tensor& hidden) const = 0;
  /// log psi for v in [v_begin, v_end) into out, (n, v_end - v_begin); v_begin a multiple of 32. Dtype as
  /// hidden states'.
  virtual void log_psi(const at::Tensor& features, std::int64_t v_begin, std::int64_t v_end,
                       at::Tensor& out) const = 0;
  /// Name of the form as in twist.form.
  [[nodiscard]] virtual std::string form() const = 0;
};

/// log psi_t(., v) for all v, (n, V). For small problems and tests; samplers go through tiles.
[[nodiscard]] at::Tensor log_psi_next(const Twist& twist, const at::Tensor& hidden);

/// log psi_t at one token a row, (n) float64, without an (n, V) tensor; the same bits as log_psi_next there.
[[nodiscard]] std::vector<double> log_psi_at(const Twist& twist, const at::Tensor& features,
                                             std::span<const std::int64_t> tokens);

/// psi = 1.
class NoTwist final : public Twist {
 public:
  explicit NoTwist(std::int64_t vocab_size) : vocab_size_(vocab_size) {}
  [[nodiscard]] std::int64_t vocab_size() const override { return vocab_size_; }
  [[nodiscard]] at::Tensor features(const at::Tensor& hidden) const override { return hidden; }
  void log_psi(const at::Tensor& features, std::int64_t v_begin, std::int64_t v_end,
               at::Tensor& out) const override;
  [[nodiscard]] std::string form() const override { return "none"; }

 private:
  std::int64_t vocab_size_;
};

}  // namespace twistor::twist
