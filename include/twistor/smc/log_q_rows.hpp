// SPDX-License-Identifier: Apache-2.0
// The gradient of log q by whole rows of scores.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "twistor/model/language_model.hpp"
#include "twistor/smc/proposal.hpp"
#include "twistor/twist/twist.hpp"

namespace twistor::smc {

/// Of a loss with derivatives c_i by log q(s_i | row i) of the twisted proposal: by log psi of token v after
/// row i that is c_i (1[v = s_i] - q(v | row i)). This is the second part of it, tile by tile; the first
/// belongs to the tokens. *Local.* References must outlive it.
class LogQRows {
 public:
  /// hidden: (n, D); on_log_q: (n).
  LogQRows(const model::LanguageModel& lm, const twist::Twist& twist, const at::Tensor& hidden,
           std::span<const double> on_log_q);

  /// -c_i q(v | row i) for v in [v_begin, v_end), (n, v_end - v_begin).
  [[nodiscard]] at::Tensor tile(std::int64_t v_begin, std::int64_t v_end) const;

 private:
  const model::LanguageModel& lm_;
  const twist::Twist& twist_;
  at::Tensor hidden_;
  std::span<const double> on_log_q_;
  RowScores rows_;
};

}  // namespace twistor::smc
