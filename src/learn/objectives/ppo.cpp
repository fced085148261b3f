// SPDX-License-Identifier: Apache-2.0
// Proximal policy optimisation (Schulman et al. 2017) of the reward log phi - log(q / p0), whose best policy
// is sigma: the KL-regularised baseline of Zhao et al. 2024.
#include <algorithm>
#include <cmath>
#include <memory>

#include "twistor/base/reproducible_sum.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/learn/positives.hpp"
#include "twistor/learn/registry.hpp"

namespace twistor::learn {
namespace {

/// By how much each token was better than the value of the state before it promised, and what was seen to
/// come after that state. (k, T) each.
struct Outcomes {
  std::vector<double> advantage, from_here;
  std::vector<char> has_ended;  ///< there is nothing to choose any more
};

class Ppo final : public Objective {
 public:
  explicit Ppo(const ObjectiveOptions& options) : options_(options) {}

  std::string_view name() const override { return "ppo"; }
  std::vector<Request> wants() const override {
    return {{.source = Source::proposal, .n = options_.batch, .needs_log_q = true, .needs_value = true}};
  }
  std::int64_t inner_epochs() const override { return options_.inner_epochs_or(4); }
  bool may_resample() const override { return false; }
  bool has_value() const override { return true; }

  std::int64_t n_sums() const override { return 3; }
  /// Of the advantages that there are: their number, sum and squares.
  void add_sums(std::span<const Batch> batches, const Current& current,
                std::span<FixedPointSum> sums) const override {
    if (n_forbidden(batches[0]) > 0) return;  // there is nothing to learn from it
    const Outcomes outcomes = outcomes_of(batches[0], current.problem.lm.end_rule());
    for (std::size_t i = 0; i < outcomes.advantage.size(); ++i) {
      if (outcomes.has_ended[i] != 0) continue;
      sums[0].add(1);
      sums[1].add(outcomes.advantage[i]);
      sums[2].add(outcomes.advantage[i] * outcomes.advantage[i]);
    }
  }

  Terms terms(std::span<const Batch> batches, const Current& current,
              const comm::Communicator& world) const override {
    const Batch& batch = batches[0];
    Terms out;
    if (comm::all_reduce_sum(n_forbidden(batch), world) > 0) {
      out.skipped =
          "phi is 0 for a sample, and log phi is ppo's reward; set a finite target.log_floor, or "
          "train.objective = ctl";
      return out;
    }
    Outcomes outcomes = outcomes_of(batch, current.problem.lm.end_rule());
    standardise(outcomes, current.sums);
    out.loss.emplace();
    out.on_score.emplace_back();
    add_policy(batch, outcomes, out);
    add_value(batch, outcomes, out);
    return out;
  }

 private:
  [[nodiscard]] static std::int64_t n_forbidden(const Batch& batch) {
    return std::ranges::count_if(batch.log_phi, [](double value) { return std::isinf(value); });
  }

  /// Generalised advantages (Schulman et al. 2016) with discount 1, of the policy and the values with which
  /// the samples were drawn.
  [[nodiscard]] Outcomes outcomes_of(const Batch& batch, const model::EndRule& end) const {
    const smc::Population& p = batch.samples;
    Outcomes out{std::vector<double>(p.tokens.size()), std::vector<double>(p.tokens.size()),
                 end.mask(p.tokens, p.T)};
    for (std::int64_t i = 0; i < p.size(); ++i) {
      double next_value = 0, advantage = 0, reward = batch.log_phi[static_cast<std::size_t>(i)];
      for (std::int64_t t = p.T - 1; t >= 0; --t) {
        const std::size_t at = p.at(i, t);
        if (out.has_ended[at] != 0) continue;
        reward += p.log_p0[at] - p.log_q[at];
        const double value = batch.drawn_value[at];
        advantage = reward + next_value - value + options_.ppo_lambda * advantage;
        out.advantage[at] = advantage;
        out.from_here[at] = advantage + value;
        next_value = value;
        reward = 0;
      }
    }
    return out;
  }

  /// Advantages of mean 0 and variance 1 over the whole batch.
  static void standardise(Outcomes& outcomes, std::span<const FixedPointSum> sums) {
    const double n = sums[0].value(), mean = sums[1].value() / n,
                 variance = std::max(sums[2].value() / n - mean * mean, 0.0);
    for (double& x : outcomes.advantage) x = (x - mean) / (std::sqrt(variance) + 1e-8);
  }

  void add_policy(const Batch& batch, const Outcomes& outcomes, Terms& out) const {
    const double share = per_step(batch);
    std::vector<double>& on_log_q = out.on_log_q.emplace_back(outcomes.advantage.size());
    for (std::size_t i = 0; i < on_log_q.size(); ++i) {
      if (outcomes.has_ended[i] != 0) continue;
      const double ratio = std::exp(batch.log_q[i] - batch.samples.log_q[i]),
                   clipped = std::clamp(ratio, 1 - options_.ppo_clip, 1 + options_.ppo_clip);
      const double plain = ratio * outcomes.advantage[i], bounded = clipped * outcomes.advantage[i];
      out.loss->add(-share * std::min(plain, bounded));
      if (plain <= bounded) on_log_q[i] = -share * plain;
    }
  }

  /// Half the squared error, or that of the value as far as it may move from where it was, if that is more.
  void add_value(const Batch& batch, const Outcomes& outcomes, Terms& out) const {
    const double share = options_.ppo_value_weight * per_step(batch);
    std::vector<double>& on_value = out.on_value.emplace_back(outcomes.from_here.size());
    for (std::size_t i = 0; i < on_value.size(); ++i) {
      if (outcomes.has_ended[i] != 0) continue;
      const double before = batch.drawn_value[i], now = batch.value[i],
                   near = std::clamp(now, before - options_.ppo_clip, before + options_.ppo_clip);
      const double error = now - outcomes.from_here[i], near_error = near - outcomes.from_here[i];
      out.loss->add(0.5 * share * std::max(error * error, near_error * near_error));
      if (std::abs(error) >= std::abs(near_error)) on_value[i] = share * error;
    }
  }

  ObjectiveOptions options_;
};

}  // namespace

std::unique_ptr<Objective> make_ppo(const ObjectiveOptions& options) {
  return std::make_unique<Ppo>(options);
}

}  // namespace twistor::learn
