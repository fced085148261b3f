// SPDX-License-Identifier: Apache-2.0
// Proposals q: where the next token comes from, and the numbers that weights are made of.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
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
  /// (n, blocks) float64, the part of log_sum_q of each block of the vocabulary, by which a draw begins.
  at::Tensor block_log_sums;
  /// (n, 1) float64 of a policy: the lowest of its scores that are drawn.
  at::Tensor lowest;
  /// (n, >= V) on engines that have room for them. The CPU's computes a block's scores again when it draws.
  at::Tensor logits, log_psi, policy;
  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(log_sum_p0.size()); }
  /// The block sums of one row, in host memory.
  [[nodiscard]] std::span<const double> blocks_of(std::int64_t row) const;
  /// All tensors there are, in a fixed order.
  [[nodiscard]] std::vector<at::Tensor*> tensors();
  /// Keeps the rows of the given indices, in that order.
  void select(std::span<const std::int64_t> rows);
};

/// Tokens of rows, with normalised log-probabilities, all (n).
struct Draws {
  std::vector<std::int64_t> tokens;
  std::vector<double> log_p0, log_q, log_psi;
};

/// What particles have drawn from rows: every pair of row and token once.
struct Branches {
  std::vector<std::int64_t> rows;  ///< (branches)
  Draws tokens;                    ///< (branches)
  std::vector<std::int64_t> of;    ///< (particles) the branch of each
};

/// Another language model than p0 to draw from.
struct Policy {
  /// Its logits from the hidden states that p0's come from: a model::MemberModel, absorbing where p0 is.
  const model::LanguageModel& lm;
  Truncation truncation{};
};

class Head;

/// *Local.* Holds references to models and twist.
class Proposal {
 public:
  Proposal(const model::LanguageModel& lm, const twist::Twist& twist, ProposalKind kind, double beta = 1.0);
  Proposal(const model::LanguageModel& lm, const twist::Twist& twist, const ProposalOptions& options)
      : Proposal(lm, twist, options.kind, options.beta) {}
  /// q is a policy. psi shapes the weights alone.
  Proposal(const model::LanguageModel& lm, const twist::Twist& twist, const Policy& policy);

  /// One pass over the vocabulary in tiles; hidden: (n, D).
  [[nodiscard]] RowScores score(const at::Tensor& hidden) const;

  /// Particle i draws from row row_of[i] with its uniform number u[i]; forced[i] >= 0 is taken instead of a
  /// draw. An empty `forced` forces nobody.
  [[nodiscard]] Branches branch(const RowScores& rows, const at::Tensor& hidden,
                                std::span<const std::int64_t> row_of, std::span<const double> u,
                                std::span<const std::int64_t> forced = {}) const;
  /// The same by particles, // (n)
  [[nodiscard]] Draws draw(const RowScores& rows, const at::Tensor& hidden,
                           std::span<const std::int64_t> row_of, std::span<const double> u,
                           std::span<const std::int64_t> forced = {}) const;

  /// log q, log p0 and log psi of given tokens, one a row: the teacher-forced pass.
  [[nodiscard]] Draws score_tokens(const RowScores& rows, const at::Tensor& hidden,
                                   std::span<const std::int64_t> row_of,
                                   std::span<const std::int64_t> tokens) const;

  /// Whether the incremental weight does not depend on the token drawn: log w_t = log_sum_q - log_sum_p0 -
  /// log psi_{t-1}.
  [[nodiscard]] bool weight_is_known_before_draw() const { return kind_ == ProposalKind::twisted; }

  [[nodiscard]] bool is_policy() const { return kind_ == ProposalKind::policy; }
  /// Whether q may give no probability to what p0 can generate.
  [[nodiscard]] bool may_cut_support() const { return may_cut_support_; }

 private:
  ProposalKind kind_;
  bool may_cut_support_ = false;
  std::shared_ptr<const Head> head_;
};

}  // namespace twistor::smc
