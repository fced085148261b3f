// Row operations over a vocabulary: log-sum-exp and the draw of a token, the same bits for a row in any
// batch.
#pragma once

#include <cstdint>
#include <span>

namespace twistor::model {

/// log sum_v exp(scores[v]) of one row, in float64. -inf entries are legal; all -inf gives -inf.
/// Throws Error(internal) when the row holds NaN or +inf.
[[nodiscard]] double row_log_sum_exp(std::span<const float> scores);
[[nodiscard]] double row_log_sum_exp(std::span<const double> scores);

/// The smallest v with sum_{i <= v} exp(scores[i] - log_sum) > u, by inversion: one uniform number u in (0,
/// 1) a token. An entry of -inf is never drawn.
[[nodiscard]] std::int64_t draw_token(std::span<const float> scores, double log_sum, double u);
[[nodiscard]] std::int64_t draw_token(std::span<const double> scores, double log_sum, double u);

}  // namespace twistor::model
