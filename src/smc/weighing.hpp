// SPDX-License-Identifier: Apache-2.0
// What one step does to weights, for every kind of sweep. Private to the smc room.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/base/reproducible_sum.hpp"
#include "twistor/model/end_rule.hpp"
#include "twistor/potential/potential.hpp"
#include "twistor/smc/population.hpp"

namespace twistor::smc {

/// Whether the texts of a node have ended: then the next token is the end token again, psi stays what it was,
/// and the step leaves the weights alone.
inline bool has_ended(const Population& p, std::int64_t node, const model::EndRule& end) {
  const std::int64_t leaf = p.leaf[static_cast<std::size_t>(node)];
  return leaf >= 0 && end.is_end(p.history.leaf(leaf).token);
}

/// Multiplies the weight of the particle called `id` by a factor.
inline void add_weight(double& log_w, double log_factor, std::int64_t id) {
  if (log_w == log_zero) return;  // dead stays dead, also where the factor is undefined
  log_w += log_factor;
  TWISTOR_CHECK(!std::isnan(log_w) && log_w != -log_zero, ErrorKind::internal, "weighing particles",
                fmt::format("the log weight of particle {} is {}", id, log_w),
                "the twist's parameters or the potential are not finite; lower train.learning_rate");
}

/// log w_t = log Zq_t - log psi_{t-1} of every node: all of the step's weight but, at T, the last factor phi
/// / psi_T, where the proposal knows weights before the draw.
inline std::vector<double> factors_of_rows(const Population& p, const model::EndRule& end) {
  std::vector<double> out(p.leaf.size());
  for (std::size_t n = 0; n < out.size(); ++n) {
    const auto node = static_cast<std::int64_t>(n);
    out[n] =
        has_ended(p, node, end) ? 0.0 : p.scores.log_sum_q[n] - p.scores.log_sum_p0[n] - p.log_psi_of(node);
  }
  return out;
}

/// log psi before the token of every branch; where the text has ended the token's is the same.
inline std::vector<double> carry_log_psi(Branches& drawn, const Population& p, const model::EndRule& end) {
  std::vector<double> before(drawn.rows.size());
  for (std::size_t j = 0; j < drawn.rows.size(); ++j) {
    before[j] = p.log_psi_of(drawn.rows[j]);
    if (has_ended(p, drawn.rows[j], end)) drawn.tokens.log_psi[j] = before[j];
  }
  return before;
}

/// What of the step's weight depends on the token of branch j: all of it, or at T the factor phi / psi_T.
/// log_value: log psi_t, or log phi at T.
inline double factor_of_token(const Draws& drawn, std::size_t j, double log_value, double log_psi_before,
                              bool is_weight_of_row) {
  return is_weight_of_row ? log_value - drawn.log_psi[j]
                          : drawn.log_p0[j] - drawn.log_q[j] + log_value - log_psi_before;
}

/// The sum of this rank's weights. Particles of one node have one history and so, until the last step, one
/// weight: each is added once, as often as it occurs, to the same bits as one at a time.
[[nodiscard]] WeightSums sum_of_weights(const Population& p);

/// log g_t of each prefix that was just drawn: log phi of it, as if it were all, times `weight`; NaN where
/// the text had ended before.
[[nodiscard]] std::vector<double> prefix_guides(const potential::Potential& potential,
                                                std::span<const std::int64_t> prompt, const Population& p,
                                                const model::EndRule& end, double weight);

}  // namespace twistor::smc
