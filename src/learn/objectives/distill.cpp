// SPDX-License-Identifier: Apache-2.0
// Self-distillation: q learns by maximum likelihood from weighted samples of sigma that it has drawn itself,
// round after round, while sigma stays (arXiv 2507.02315).
#include <memory>

#include "twistor/learn/positives.hpp"
#include "twistor/learn/registry.hpp"

namespace twistor::learn {
namespace {

/// - mean over the samples of a round and over t of log q(s_t), read as log psi for psi = q / p0.
class Distill final : public Objective {
 public:
  explicit Distill(const ObjectiveOptions& options) : options_(options) {}

  std::string_view name() const override { return "distill"; }

  std::vector<Request> wants() const override { return {{Source::round, options_.positive_batch}}; }

  std::optional<RoundPlan> rounds() const override {
    return RoundPlan{.updates = options_.round_updates,
                     .samples = options_.round_samples,
                     .anneal = options_.anneal,
                     .anneal_ess = options_.anneal_ess,
                     .holdout = options_.holdout};
  }
  std::int64_t inner_epochs() const override { return options_.inner_epochs_or(1); }
  bool may_resample() const override { return false; }
  bool needs_ratio() const override { return true; }

  Terms terms(std::span<const Batch> batches, const Current& current,
              const comm::Communicator& /*world*/) const override {
    const Batch& batch = batches[0];
    Terms out;
    out.numbers = {{"round_ess", batch.weight_ess}};
    if (batch.weight_ess == 0)
      out.skipped =
          "no sample of this round had phi > 0; raise train.round_samples, set a finite target.log_floor, or "
          "name samples of a twist (train.round_file)";
    out.on_score.emplace_back(batch.samples.tokens.size(), -per_step(batch));
    forget_after_end(batch, current.problem.lm.end_rule(), out.on_score.back());
    return out;
  }

 private:
  ObjectiveOptions options_;
};

}  // namespace

std::unique_ptr<Objective> make_distill(const ObjectiveOptions& options) {
  return std::make_unique<Distill>(options);
}

}  // namespace twistor::learn
