// SPDX-License-Identifier: Apache-2.0
// Scoring whole rows on the engine's device. Up go rows and uniform numbers of particles, down come their
// tokens and what these weigh.
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "head.hpp"
#include "truncation.hpp"
#include "twistor/base/error.hpp"
#include "twistor/device/tensor_vocabulary.hpp"

namespace twistor::smc {
namespace {

void check_sums(const std::vector<double>& sums) {
  for (const double sum : sums)
    TWISTOR_CHECK(!std::isnan(sum) && sum < std::numeric_limits<double>::infinity(), ErrorKind::data,
                  "summing over the vocabulary", "a score is NaN or +inf",
                  "the model's weights or the twist's parameters are not finite; lower train.learning_rate");
}

/// Columns of what came from the device: token, logit, log psi of each particle, and of a policy its score.
struct Drawn {
  explicit Drawn(const at::Tensor& stacked)
      : all(device::numbers_of(stacked)), n(static_cast<std::size_t>(stacked.size(1))) {}
  [[nodiscard]] std::int64_t token(std::size_t i) const { return static_cast<std::int64_t>(all[i]); }
  [[nodiscard]] std::span<const double> logit() const { return std::span(all).subspan(n, n); }
  [[nodiscard]] std::span<const double> log_psi() const { return std::span(all).subspan(2 * n, n); }
  [[nodiscard]] std::span<const double> policy() const { return std::span(all).subspan(3 * n); }
  std::vector<double> all;
  std::size_t n;
};

class TensorHead final : public Head {
 public:
  explicit TensorHead(const HeadParts& parts)
      : Head(parts),
        engine_(parts.lm.engine()),
        kernels_(*engine_->vocabulary()),
        has_twist_(parts.twist.form() != "none") {}

  RowScores score(const at::Tensor& hidden) const override {
    const at::AutoDispatchBelowADInplaceOrView no_gradients;
    const std::int64_t n = hidden.size(0);
    const at::Tensor features = twist_.features(hidden);
    RowScores rows;
    device::ScoreSums sums;
    if (engine_->score_rows() == 0) {
      rows = scores_of(hidden, features);
      sums = sums_of(rows);
    } else {
      sums = sums_in_parts(hidden, features);
    }
    rows.features = features;
    rows.block_log_sums = sums.blocks;
    const std::vector<double> both = device::numbers_of(at::stack({sums.of_a, sums.drawn}));
    check_sums(both);
    rows.log_sum_p0.assign(both.begin(), both.begin() + n);
    rows.log_sum_q.assign(both.begin() + n, both.end());
    return rows;
  }

  Branches branch(const RowScores& rows, const at::Tensor& hidden,
                  const DrawRequest& request) const override {
    const at::AutoDispatchBelowADInplaceOrView no_gradients;
    const at::Device place = hidden.device();
    const at::Tensor log_sums = device::to_device(std::span<const double>(rows.log_sum_q), place);
    const auto found = [&](const RowScores& scored, const at::Tensor& sums, const DrawRequest& asked) {
      device::ScoreDraws draws{device::to_device(asked.row_of, place), device::to_device(asked.u, place), {}};
      if (!asked.forced.empty()) draws.forced = device::to_device(asked.forced, place);
      return draw(scored, sums, draws);
    };
    if (rows.logits.defined())
      return branches_of(rows, request.row_of, Drawn(found(rows, log_sums, request)));
    const auto of_part = [&](const RowScores& scored, std::int64_t begin,
                             std::span<const std::int64_t> row_of, const auto& picked) {
      const std::vector<double> u = picked(request.u);
      const std::vector<std::int64_t> forced = picked(request.forced);
      return found(scored, log_sums.narrow(0, begin, scored.logits.size(0)), {row_of, u, forced});
    };
    return branches_of(rows, request.row_of, Drawn(in_parts(rows, hidden, request.row_of, of_part)));
  }

  Draws score_tokens(const RowScores& rows, const at::Tensor& hidden, std::span<const std::int64_t> row_of,
                     std::span<const std::int64_t> tokens) const override {
    const at::Device place = hidden.device();
    const auto of_part = [&](const RowScores& scored, std::int64_t,
                             std::span<const std::int64_t> rows_of_part, const auto& picked) {
      const std::vector<std::int64_t> asked = picked(tokens);
      return look_up(scored, device::to_device(rows_of_part, place), device::to_device(asked, place));
    };
    const Drawn found(rows.logits.defined()
                          ? look_up(rows, device::to_device(row_of, place), device::to_device(tokens, place))
                          : in_parts(rows, hidden, row_of, of_part));
    return normalised(rows, row_of, tokens, found.logit(), found.log_psi(), found.policy(), true);
  }

 private:
  /// Of all the vocabulary: logits, log psi and a policy's scores.
  [[nodiscard]] RowScores scores_of(const at::Tensor& hidden, const at::Tensor& features) const {
    const std::int64_t n = hidden.size(0), v = lm_.vocab_size();
    RowScores rows;
    rows.logits = device::make_scores(n, v, hidden.device());
    lm_.logits(hidden, 0, v, rows.logits);
    if (has_twist_) {
      rows.log_psi = device::make_scores(n, v, hidden.device());
      twist_.log_psi(features, 0, v, rows.log_psi);
    }
    if (kind_ == ProposalKind::policy) {
      rows.policy = device::make_scores(n, v, hidden.device());
      policy_->logits(hidden, 0, v, rows.policy);
      rows.policy = truncated(rows.policy, truncation_);
    }
    return rows;
  }

  [[nodiscard]] device::ScoreSums sums_of(const RowScores& rows) const {
    device::ScoreSums sums = kernels_.sum(p0_scores(rows));
    if (kind_ != ProposalKind::policy) return sums;
    device::ScoreSums of_policy = kernels_.sum({rows.policy, {}});
    of_policy.of_a = sums.of_a;
    return of_policy;
  }

  [[nodiscard]] device::ScoreSums sums_in_parts(const at::Tensor& hidden, const at::Tensor& features) const {
    const std::int64_t n = hidden.size(0), at_once = engine_->score_rows();
    std::vector<at::Tensor> blocks, of_a, drawn;
    for (std::int64_t begin = 0; begin == 0 || begin < n; begin += at_once) {
      const std::int64_t count = std::min(at_once, n - begin);
      const device::ScoreSums sums =
          sums_of(scores_of(hidden.narrow(0, begin, count), features.narrow(0, begin, count)));
      blocks.push_back(sums.blocks);
      of_a.push_back(sums.of_a);
      drawn.push_back(sums.drawn);
    }
    return {at::cat(blocks), at::cat(of_a), at::cat(drawn)};
  }

  /// (3 or 4, k) float64, the columns of Drawn of particles whose rows are scored once more, some at a time.
  /// find(scored, begin, row_of, picked) gives those of a part: of rows from `begin` on, row_of counted from
  /// there, and picked(values) are those of its particles.
  template <class Find>
  [[nodiscard]] at::Tensor in_parts(const RowScores& rows, const at::Tensor& hidden,
                                    std::span<const std::int64_t> row_of, const Find& find) const {
    const std::int64_t n = rows.size(), at_once = engine_->score_rows();
    std::vector<std::vector<std::size_t>> who(static_cast<std::size_t>((n + at_once - 1) / at_once));
    for (std::size_t i = 0; i < row_of.size(); ++i)
      who[static_cast<std::size_t>(row_of[i] / at_once)].push_back(i);
    std::vector<at::Tensor> found;
    std::vector<std::int64_t> place(row_of.size());
    std::int64_t next = 0;
    for (std::size_t p = 0; p < who.size(); ++p) {
      if (who[p].empty()) continue;
      const auto begin = static_cast<std::int64_t>(p) * at_once;
      const std::int64_t count = std::min(at_once, n - begin);
      RowScores scored = scores_of(hidden.narrow(0, begin, count), rows.features.narrow(0, begin, count));
      scored.block_log_sums = rows.block_log_sums.narrow(0, begin, count);
      std::vector<std::int64_t> own_rows;
      for (const std::size_t i : who[p]) {
        own_rows.push_back(row_of[i] - begin);
        place[i] = next++;
      }
      found.push_back(find(scored, begin, own_rows, [&]<class T>(std::span<const T> values) {
        std::vector<T> out;
        if (!values.empty())
          for (const std::size_t i : who[p]) out.push_back(values[i]);
        return out;
      }));
    }
    if (found.empty())
      return at::empty({kind_ == ProposalKind::policy ? 4 : 3, 0}, rows.block_log_sums.options());
    return at::index_select(at::cat(found, 1), 1, device::to_device(place, hidden.device()));
  }

  /// p0, and what is drawn from where that is p0 times psi.
  [[nodiscard]] device::ScoreRows p0_scores(const RowScores& rows) const {
    return {rows.logits, rows.log_psi, beta_,
            kind_ == ProposalKind::twisted || kind_ == ProposalKind::tempered};
  }

  /// (3 or 4, k) float64, the columns of Drawn.
  [[nodiscard]] at::Tensor draw(const RowScores& rows, const at::Tensor& log_sums,
                                const device::ScoreDraws& draws) const {
    if (kind_ != ProposalKind::policy)
      return kernels_.draw(p0_scores(rows), rows.block_log_sums, log_sums, draws);
    const at::Tensor drawn = kernels_.draw({rows.policy, {}}, rows.block_log_sums, log_sums, draws);
    return look_up(rows, draws.row_of, drawn.select(0, 0).to(at::kLong));
  }

  /// (3 or 4, k) float64, the columns of Drawn; log psi is 0 where there is no twist.
  static at::Tensor look_up(const RowScores& rows, const at::Tensor& row_of, const at::Tensor& tokens) {
    const at::Tensor logit = device::scores_at(rows.logits, row_of, tokens);
    std::vector<at::Tensor> columns{
        tokens.to(at::kDouble), logit,
        rows.log_psi.defined() ? device::scores_at(rows.log_psi, row_of, tokens) : at::zeros_like(logit)};
    if (rows.policy.defined()) columns.push_back(device::scores_at(rows.policy, row_of, tokens));
    return at::stack(columns);
  }

  /// Every pair of row and token once, in their order.
  [[nodiscard]] Branches branches_of(const RowScores& rows, std::span<const std::int64_t> row_of,
                                     const Drawn& drawn) const {
    const std::int64_t v = lm_.vocab_size();
    std::vector<std::pair<std::int64_t, std::size_t>> order(drawn.n);  // row and token in one, particle
    for (std::size_t i = 0; i < drawn.n; ++i) order[i] = {row_of[i] * v + drawn.token(i), i};
    std::sort(order.begin(), order.end());
    BranchList list(drawn.n);
    std::vector<double> logit, log_psi, policy;
    for (std::size_t j = 0; j < order.size(); ++j) {
      const auto [key, i] = order[j];
      if (j == 0 || key != order[j - 1].first) {
        list.add(key / v, key % v);
        logit.push_back(drawn.logit()[i]);
        log_psi.push_back(drawn.log_psi()[i]);
        if (!drawn.policy().empty()) policy.push_back(drawn.policy()[i]);
      }
      list.of[i] = static_cast<std::int64_t>(list.rows.size()) - 1;
    }
    Draws tokens = normalised(rows, list.rows, list.tokens, logit, log_psi, policy, true);
    return {std::move(list.rows), std::move(tokens), std::move(list.of)};
  }

  std::shared_ptr<const device::Engine> engine_;
  const device::VocabularyKernels& kernels_;
  bool has_twist_;  // without one log psi is 0 and nothing is kept of it
};

}  // namespace

std::shared_ptr<const Head> make_tensor_head(const HeadParts& parts) {
  return std::make_shared<TensorHead>(parts);
}

}  // namespace twistor::smc
