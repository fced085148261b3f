// SPDX-License-Identifier: Apache-2.0
// The vocabulary's part of a proposal: scores of rows, and draws from them. Private to the smc room.
#pragma once

#include <memory>

#include "twistor/smc/proposal.hpp"

namespace twistor::smc {

/// What a head is made of; models and twist must outlive it.
struct HeadParts {
  const model::LanguageModel& lm;
  const twist::Twist& twist;
  ProposalKind kind;
  double beta;
  const model::LanguageModel* policy = nullptr;  ///< for ProposalKind::policy
  Truncation truncation{};                       ///< likewise
};

/// Particle i draws from row row_of[i] with u[i], unless forced[i] >= 0. An empty `forced` forces nobody.
struct DrawRequest {
  std::span<const std::int64_t> row_of;
  std::span<const double> u;
  std::span<const std::int64_t> forced;
};

/// See Proposal.
class Head {
 public:
  explicit Head(const HeadParts& parts)
      : lm_(parts.lm),
        twist_(parts.twist),
        kind_(parts.kind),
        beta_(parts.beta),
        policy_(parts.policy),
        truncation_(parts.truncation) {}
  virtual ~Head() = default;

  [[nodiscard]] virtual RowScores score(const at::Tensor& hidden) const = 0;
  [[nodiscard]] virtual Branches branch(const RowScores& rows, const at::Tensor& hidden,
                                        const DrawRequest& request) const = 0;
  [[nodiscard]] virtual Draws score_tokens(const RowScores& rows, const at::Tensor& hidden,
                                           std::span<const std::int64_t> row_of,
                                           std::span<const std::int64_t> tokens) const = 0;

 protected:
  /// Log-probabilities from the rows' sums. `policy`: its scores as they are drawn from, empty for other
  /// kinds. is_float32: the dtype of scores, so that log q belongs to exactly the distribution that is drawn
  /// from.
  [[nodiscard]] Draws normalised(const RowScores& rows, std::span<const std::int64_t> row_of,
                                 std::span<const std::int64_t> tokens, std::span<const double> logit,
                                 std::span<const double> log_psi, std::span<const double> policy,
                                 bool is_float32) const;

  const model::LanguageModel& lm_;
  const twist::Twist& twist_;
  ProposalKind kind_;
  double beta_;
  const model::LanguageModel* policy_;
  Truncation truncation_;
};

/// The branches of particles, and which of them each particle takes.
struct BranchList {
  explicit BranchList(std::size_t n) : of(n, -1) {}
  std::int64_t add(std::int64_t row, std::int64_t token) {
    rows.push_back(row);
    tokens.push_back(token);
    return static_cast<std::int64_t>(rows.size()) - 1;
  }
  std::vector<std::int64_t> rows, tokens, of;
};

/// Through tiles in host memory, for models on the CPU's engine.
[[nodiscard]] std::shared_ptr<const Head> make_tile_head(const HeadParts& parts);
/// Through whole rows of scores on the engine's device.
[[nodiscard]] std::shared_ptr<const Head> make_tensor_head(const HeadParts& parts);

}  // namespace twistor::smc
