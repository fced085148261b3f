// Proposals q: where the next token comes from, and the numbers that weights are made of.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "twistor/base/names.hpp"
#include "twistor/model/language_model.hpp"
#include "twistor/smc/options.hpp"
#include "twistor/twist/twist.hpp"

namespace twistor::smc {

/// What one forward pass tells about each row (unique prefix).
struct RowScores {
  std::vector<double> log_sum_p0;  ///< (n) log sum_v exp(logits)
  std::vector<double> log_sum_q;   ///< (n) log sum_v exp(logits + beta log psi)
  at::Tensor features;             ///< (n, D') what the twist's vocabulary product takes
  /// (n, blocks) the part of log_sum_q of each vocabulary_block: the draw chooses a block by them and
  /// computes that block's scores again, so that no (n, V) buffer is kept.
  std::vector<double> block_log_sums;
  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(log_sum_p0.size()); }
  /// The block sums of one row.
  [[nodiscard]] std::span<const double> blocks_of(std::int64_t row) const;
  /// Puts other rows behind these.
  void append(const RowScores& other);
  /// Keeps the rows of the given indices, in that order.
  void select(std::span<const std::int64_t> rows);
};

/// Tokens drawn from rows, with normalised log-probabilities, all (n).
struct Draws {
  std::vector<std::int64_t> tokens;
  std::vector<double> log_p0, log_q, log_psi;
};

/// *Local.* Holds references to model and twist.
class Proposal {
 public:
  Proposal(const model::LanguageModel& lm, const twist::Twist& twist, ProposalKind kind, double beta = 1.0);
  Proposal(const model::LanguageModel& lm, const twist::Twist& twist, const ProposalOptions& options)
      : Proposal(lm, twist, options.kind, options.beta) {}

  /// One pass over the vocabulary in tiles; hidden: (n, D).
  [[nodiscard]] RowScores score(const at::Tensor& hidden) const;

  /// Particle i draws from row row_of[i] with its uniform number u[i]; forced[i] >= 0 is taken instead of a
  /// draw.
  [[nodiscard]] Draws draw(const RowScores& rows, const at::Tensor& hidden,
                           std::span<const std::int64_t> row_of, std::span<const double> u,
                           std::span<const std::int64_t> forced) const;

  /// log q, log p0 and log psi of given tokens, one a row: the teacher-forced pass.
  [[nodiscard]] Draws score_tokens(const RowScores& rows, const at::Tensor& hidden,
                                   std::span<const std::int64_t> row_of,
                                   std::span<const std::int64_t> tokens) const;

  /// One drawer of a block of the vocabulary; the sources' own.
  struct Drawer;

  /// Whether the incremental weight does not depend on the token drawn: log w_t = log_sum_q - log_sum_p0 -
  /// log psi_{t-1}.
  [[nodiscard]] bool weight_is_known_before_draw() const { return kind_ == ProposalKind::twisted; }

 private:
  /// Tokens, counted within their block, of particles that all draw in one block, in the order of rows.
  [[nodiscard]] std::vector<std::int64_t> draw_in_block(const RowScores& rows, const at::Tensor& hidden,
                                                        std::span<const Drawer> drawers) const;
  /// The sums of the vocabulary's blocks, (n, blocks) each; blocks_q is left alone where q = p0.
  void sum_rows(const at::Tensor& hidden, const at::Tensor& features, std::span<double> blocks_p0,
                std::span<double> blocks_q) const;
  /// Logits and scores, logits + beta log psi, of the columns [v_begin, v_end); features go with hidden.
  void score_tile(const at::Tensor& hidden, const at::Tensor& features, std::int64_t v_begin,
                  std::int64_t v_end, at::Tensor& logits, at::Tensor& scores) const;

  const model::LanguageModel& lm_;
  const twist::Twist& twist_;
  ProposalKind kind_;
  double beta_;
};

}  // namespace twistor::smc
