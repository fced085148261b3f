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
    out.front().needs_log_q = expects_tokens();
    for (const Request& request : positives_.own_requests()) out.push_back(request);
    return out;
  }

  std::int64_t inner_epochs() const override { return options_.inner_epochs_or(1); }

  Terms terms(std::span<const Batch> batches, const Current& current,
              const comm::Communicator& world) const override {
    const Batch& q = batches[0];
    Negatives negatives = negative_weights(q.samples, world);
    PositiveWeights positives = positives_.weigh(batches, current.update, world);
    Terms out;
    out.numbers = positives.numbers();
    out.numbers.insert(out.numbers.begin(), {"negative_ess", negatives.ess});
    out.skipped = std::move(positives.skipped);
    const std::int64_t T = q.samples.T;
    const double step = 1.0 / static_cast<double>(T);
    std::vector<double> on_score = std::move(negatives.weight);
    for (double& weight : on_score) weight *= step;
    // The weight of a sample of pi_t is that of s_{<t} alone, so its token may be replaced by the mean over
    // q(. | s_{<t}), whose derivative is that of log psi - log q at any token (Rao-Blackwell).
    if (expects_tokens()) {
      std::vector<double>& on_log_q = out.on_log_q.emplace_back(on_score);
      for (double& weight : on_log_q) weight = -weight;
    }
    for (std::size_t i = 0; i < positives.weighted.size(); ++i)
      for (std::int64_t t = 0; t < T; ++t)
        on_score[q.samples.at(static_cast<std::int64_t>(i), t)] -= step * positives.weighted[i];
    out.on_score.push_back(std::move(on_score));
    for (const Batch& batch : batches.subspan(1)) out.on_score.push_back(positives.of_likelihood(batch));
    return out;
  }

 private:
  [[nodiscard]] bool expects_tokens() const { return options_.negatives == NegativeTokens::expected; }

  ObjectiveOptions options_;
  PositiveSamples positives_;
};

}  // namespace

std::unique_ptr<Objective> make_ctl(const ObjectiveOptions& options) {
  return std::make_unique<Ctl>(options);
}

}  // namespace twistor::learn
