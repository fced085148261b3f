// SPDX-License-Identifier: Apache-2.0
// Log-sum-exp, draws and look-ups over rows of the vocabulary that lie on a device whole. The host's own way,
// tile by tile, is model/vocabulary.hpp.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

namespace twistor::device {

/// Columns whose log-sum-exp is kept apart; a token is drawn by its block first.
inline constexpr std::int64_t score_block = 256;

/// Room for rows of scores, (n, V rounded up to whole blocks) float32; what is beyond V is -inf.
[[nodiscard]] at::Tensor make_scores(std::int64_t n, std::int64_t vocab_size, at::Device device);

/// Rows of logits a and of log psi b, to be drawn from by a, or by a + beta b.
struct ScoreRows {
  at::Tensor a, b;  ///< (n, blocks * score_block) of make_scores; b may be undefined
  double beta = 1;
  bool draws_from_sum = true;  ///< if there is a b
};

/// log sum exp of rows.
struct ScoreSums {
  at::Tensor blocks;  ///< (n, blocks) float64, of each block of what is drawn from
  at::Tensor of_a;    ///< (n) float64, of a
  at::Tensor drawn;   ///< (n) float64, of what is drawn from; of_a where that is a
};

/// What k particles ask for: draw i from row row_of[i] by inversion with u[i]. All on the rows' device.
struct ScoreDraws {
  at::Tensor row_of;  ///< (k) int64
  at::Tensor u;       ///< (k) float64 in (0, 1)
  at::Tensor forced;  ///< (k) int64, tokens taken instead where not below 0; may be undefined
};

class VocabularyKernels {
 public:
  virtual ~VocabularyKernels() = default;
  /// A row of NaN gives NaN.
  [[nodiscard]] virtual ScoreSums sum(const ScoreRows& rows) const = 0;
  /// (3, k) float64: tokens, a and b (or 0) at them. A token is the smallest v with sum_{i <= v} exp(score) >
  /// u times the sum of all, found by its block first; 0 from a row without weight.
  [[nodiscard]] virtual at::Tensor draw(const ScoreRows& rows, const at::Tensor& blocks,
                                        const at::Tensor& log_sums, const ScoreDraws& draws) const = 0;
};

/// By ATen's operations.
[[nodiscard]] const VocabularyKernels& aten_vocabulary();

/// scores[row_of[i]][tokens[i]], (k) float64.
[[nodiscard]] at::Tensor scores_at(const at::Tensor& scores, const at::Tensor& row_of,
                                   const at::Tensor& tokens);

/// Host numbers on a device: int64 and float64.
[[nodiscard]] at::Tensor to_device(std::span<const std::int64_t> values, at::Device device);
[[nodiscard]] at::Tensor to_device(std::span<const double> values, at::Device device);
/// Float64 numbers of a device as host memory, (n) contiguous.
[[nodiscard]] std::vector<double> numbers_of(const at::Tensor& x);

}  // namespace twistor::device
