// SPDX-License-Identifier: Apache-2.0
// Row operations over a vocabulary: log-sum-exp and the draw of a token, the same bits for a row in any
// batch.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace twistor::model {

/// log sum_v exp(scores[v]) of one row, in float64. -inf entries are legal; all -inf gives -inf.
/// Throws Error(internal) when the row holds NaN or +inf.
[[nodiscard]] double row_log_sum_exp(std::span<const float> scores);
[[nodiscard]] double row_log_sum_exp(std::span<const double> scores);

/// Columns whose log-sum-exp is kept apart. Sums over a row are joined from blocks, so they have the same
/// bits however wide the tiles are that a caller works in, and a token can be drawn by its block first.
inline constexpr std::int64_t vocabulary_block = 256;
[[nodiscard]] constexpr std::int64_t n_vocabulary_blocks(std::int64_t vocab_size) {
  return (vocab_size + vocabulary_block - 1) / vocabulary_block;
}

/// row_log_sum_exp of each block of a row, or of a tile of it that begins with a block, into out (blocks).
void block_log_sums(std::span<const float> scores, std::span<double> out);
void block_log_sums(std::span<const double> scores, std::span<double> out);

/// The smallest v with sum_{i <= v} exp(scores[i] - log_sum) > u, by inversion: one uniform number u in (0,
/// 1) a token. An entry of -inf is never drawn.
[[nodiscard]] std::int64_t draw_token(std::span<const float> scores, double log_sum, double u);
[[nodiscard]] std::int64_t draw_token(std::span<const double> scores, double log_sum, double u);

/// A row prepared for many draws: its cumulative sums, searched in log2 n steps. n is at most
/// longest_prepared_row for float32 scores.
class TokenCdf {
 public:
  TokenCdf() = default;
  TokenCdf(std::span<const float> scores, double log_sum);
  TokenCdf(std::span<const double> scores, double log_sum);

  /// draw_token(scores, log_sum, u), to the bit.
  [[nodiscard]] std::int64_t draw(double u) const;
  /// sum_{i < v} exp(scores[i] - log_sum), added in order.
  [[nodiscard]] double below(std::int64_t v) const {
    return v == 0 ? 0.0 : cumulative_[static_cast<std::size_t>(v) - 1];
  }
  /// exp(scores[v] - log_sum).
  [[nodiscard]] double weight(std::int64_t v) const { return weights_[static_cast<std::size_t>(v)]; }
  [[nodiscard]] bool is_empty() const { return cumulative_.empty(); }

 private:
  void add(double weight);

  std::vector<double> cumulative_, weights_;
  std::int64_t last_ = -1;  // the last token with a weight
};
inline constexpr std::int64_t longest_prepared_row = 512;

/// The block that draw_token would find the token in, and the uniform number that is left for the draw inside
/// it, where the block's own log-sum-exp is log_sum.
struct BlockDraw {
  std::int64_t block = 0;
  double u = 0;
};
[[nodiscard]] BlockDraw draw_block(std::span<const double> log_sums, double log_sum, double u);
/// The same with TokenCdf(log_sums, log_sum).
[[nodiscard]] BlockDraw draw_block(const TokenCdf& blocks, double u);

}  // namespace twistor::model
