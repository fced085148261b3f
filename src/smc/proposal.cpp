// SPDX-License-Identifier: Apache-2.0
// Proposals: which head scores, and what every head does alike.
#include "twistor/smc/proposal.hpp"

#include <fmt/format.h>

#include <type_traits>

#include "head.hpp"
#include "select_rows.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"

namespace twistor::smc {

std::vector<at::Tensor*> RowScores::tensors() {
  std::vector<at::Tensor*> out{&features, &block_log_sums};
  for (at::Tensor* const optional : {&lowest, &logits, &log_psi, &policy})
    if (optional->defined()) out.push_back(optional);
  return out;
}

void RowScores::select(std::span<const std::int64_t> rows) {
  const auto pick = [&](const std::vector<double>& x) {
    std::vector<double> out;
    out.reserve(rows.size());
    for (const std::int64_t r : rows) out.push_back(x[static_cast<std::size_t>(r)]);
    return out;
  };
  log_sum_p0 = pick(log_sum_p0);
  log_sum_q = pick(log_sum_q);
  for (at::Tensor* const tensor : tensors()) *tensor = select_rows(*tensor, rows);
}

std::span<const double> RowScores::blocks_of(std::int64_t row) const {
  return {block_log_sums.const_data_ptr<double>() + row * block_log_sums.stride(0),
          static_cast<std::size_t>(block_log_sums.size(1))};
}

Draws Head::normalised(const RowScores& rows, std::span<const std::int64_t> row_of,
                       std::span<const std::int64_t> tokens, std::span<const double> logit,
                       std::span<const double> log_psi, std::span<const double> policy,
                       bool is_float32) const {
  Draws out{{tokens.begin(), tokens.end()}, {}, {}, {log_psi.begin(), log_psi.end()}};
  out.log_p0.resize(tokens.size());
  out.log_q.resize(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto row = static_cast<std::size_t>(row_of[i]);
    double score = kind_ == ProposalKind::policy ? policy[i] : logit[i];
    if (kind_ == ProposalKind::twisted || kind_ == ProposalKind::tempered)
      score = is_float32 ? static_cast<double>(static_cast<float>(logit[i]) +
                                               static_cast<float>(beta_) * static_cast<float>(log_psi[i]))
                         : logit[i] + beta_ * log_psi[i];
    out.log_p0[i] = logit[i] - rows.log_sum_p0[row];
    out.log_q[i] = rows.log_sum_q[row] == log_zero ? out.log_p0[i] : score - rows.log_sum_q[row];
  }
  return out;
}

namespace {

std::shared_ptr<const Head> make_head(const HeadParts& parts) {
  const model::LanguageModel& lm = parts.lm;
  TWISTOR_CHECK(
      lm.vocab_size() == parts.twist.vocab_size(), ErrorKind::data, "joining model and twist",
      fmt::format("the model has {} tokens, the twist {}", lm.vocab_size(), parts.twist.vocab_size()),
      "the twist was learned for another model");
  return lm.engine()->vocabulary() == nullptr ? make_tile_head(parts) : make_tensor_head(parts);
}

}  // namespace

Proposal::Proposal(const model::LanguageModel& lm, const twist::Twist& twist, ProposalKind kind, double beta)
    : kind_(kind) {
  TWISTOR_ASSERT(kind != ProposalKind::policy, "a policy is a model of its own");
  head_ = make_head({lm, twist, kind, kind == ProposalKind::tempered ? beta : 1.0});
}

Proposal::Proposal(const model::LanguageModel& lm, const twist::Twist& twist, const Policy& policy)
    : kind_(ProposalKind::policy), may_cut_support_(policy.truncation.cuts()) {
  TWISTOR_ASSERT(policy.lm.vocab_size() == lm.vocab_size() && policy.lm.hidden_size() == lm.hidden_size(),
                 "a policy reads the hidden states of the base model's sweep");
  head_ = make_head({lm, twist, kind_, 1.0, &policy.lm, policy.truncation});
}

RowScores Proposal::score(const at::Tensor& hidden) const {
  return head_->score(hidden);
}

Branches Proposal::branch(const RowScores& rows, const at::Tensor& hidden,
                          std::span<const std::int64_t> row_of, std::span<const double> u,
                          std::span<const std::int64_t> forced) const {
  return head_->branch(rows, hidden, {row_of, u, forced});
}

Draws Proposal::draw(const RowScores& rows, const at::Tensor& hidden, std::span<const std::int64_t> row_of,
                     std::span<const double> u, std::span<const std::int64_t> forced) const {
  const Branches drawn = branch(rows, hidden, row_of, u, forced);
  const auto by_particle = [&](const auto& of_branches) {
    std::decay_t<decltype(of_branches)> out(drawn.of.size());
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = of_branches[static_cast<std::size_t>(drawn.of[i])];
    return out;
  };
  return {by_particle(drawn.tokens.tokens), by_particle(drawn.tokens.log_p0), by_particle(drawn.tokens.log_q),
          by_particle(drawn.tokens.log_psi)};
}

Draws Proposal::score_tokens(const RowScores& rows, const at::Tensor& hidden,
                             std::span<const std::int64_t> row_of,
                             std::span<const std::int64_t> tokens) const {
  return head_->score_tokens(rows, hidden, row_of, tokens);
}

}  // namespace twistor::smc
