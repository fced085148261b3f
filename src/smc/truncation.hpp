// SPDX-License-Identifier: Apache-2.0
// Which tokens a policy can draw: temperature, top-k and top-p on rows of its logits. Private to the smc
// room.
#pragma once

#include <ATen/core/Tensor.h>

#include <span>

#include "twistor/model/language_model.hpp"
#include "twistor/smc/options.hpp"

namespace twistor::smc {

/// The lowest score of one row that is drawn; -inf where all are. Scores are divided by the temperature
/// already.
[[nodiscard]] double lowest_kept(std::span<const float> scores, const Truncation& truncation);
[[nodiscard]] double lowest_kept(std::span<const double> scores, const Truncation& truncation);

/// A logit as it is drawn: over the temperature, in the arithmetic of its dtype.
template <class T>
[[nodiscard]] T tempered(T logit, const Truncation& truncation) {
  return logit / static_cast<T>(truncation.temperature);
}

/// lowest_kept() of every row of hidden states, (n, 1) float64, in host memory.
[[nodiscard]] at::Tensor lowest_kept_of(const model::LanguageModel& policy, const at::Tensor& hidden,
                                        const Truncation& truncation);

/// Rows of logits, (n, columns) on any device, as they are drawn: -inf for tokens that are not. By ATen's
/// operations.
[[nodiscard]] at::Tensor truncated(const at::Tensor& logits, const Truncation& truncation);

}  // namespace twistor::smc
