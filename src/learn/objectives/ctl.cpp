// SPDX-License-Identifier: Apache-2.0
// Contrastive twist learning (CTL), Zhao et al. 2024, Sec. 4.1: samples of sigma up, of pi_t down.
#include <memory>
#include <utility>

#include "twistor/learn/contrast.hpp"
#include "twistor/learn/positives.hpp"
#include "twistor/learn/registry.hpp"

namespace twistor::learn {
namespace {

class Ctl final : public Objective {
 public:
  explicit Ctl(const ObjectiveOptions& options) : options_(options), positives_(options) {}

  std::string_view name() const override { return "ctl"; }

  std::vector<Request> wants() const override {
    std::vector<Request> out{{Source::proposal, options_.batch}};
    if (positives_.has_exact()) out.push_back(positives_.exact_request());
    return out;
  }

  std::int64_t inner_epochs() const override { return options_.inner_epochs_or(1); }

  Terms terms(std::span<const Batch> batches, const Current& current,
              const comm::Communicator& world) const override {
    const Batch& q = batches[0];
    Negatives negatives = negative_weights(q.samples, world);
    PositiveWeights positives = positives_.weigh(q, current.update, world);
    Terms out;
    out.numbers = {{"negative_ess", negatives.ess}, {"phi_power", positives.power}};
    out.skipped = std::move(positives.skipped);
    const std::int64_t T = q.samples.T;
    const double step = 1.0 / static_cast<double>(T);
    std::vector<double> on_score = std::move(negatives.weight);
    for (double& weight : on_score) weight *= step;
    for (std::size_t i = 0; i < positives.weighted.size(); ++i)
      for (std::int64_t t = 0; t < T; ++t)
        on_score[q.samples.at(static_cast<std::int64_t>(i), t)] -= step * positives.weighted[i];
    out.on_score.push_back(std::move(on_score));
    if (positives_.has_exact()) {
      const smc::Population& p = batches[1].samples;
      std::vector<double>& on_exact = out.on_score.emplace_back(p.tokens.size());
      for (std::int64_t i = 0; i < p.size(); ++i)
        for (std::int64_t t = 0; t < T; ++t)
          on_exact[p.at(i, t)] = -per_step_of(batches[1], i, positives.exact_share);
    }
    return out;
  }

 private:
  ObjectiveOptions options_;
  PositiveSamples positives_;
};

}  // namespace

std::unique_ptr<Objective> make_ctl(const ObjectiveOptions& options) {
  return std::make_unique<Ctl>(options);
}

}  // namespace twistor::learn
