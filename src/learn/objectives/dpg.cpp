// SPDX-License-Identifier: Apache-2.0
// Distributional policy gradient (Parshakova et al. 2019; Khalifa et al. 2021; Zhao et al. 2024, Sec. 4.3):
// the proposal learns the positive samples by maximum likelihood.
#include <memory>
#include <utility>

#include "twistor/learn/positives.hpp"
#include "twistor/learn/registry.hpp"

namespace twistor::learn {
namespace {

/// - sum of weights of positives times mean over t of log q.
class Dpg final : public Objective {
 public:
  explicit Dpg(const ObjectiveOptions& options) : options_(options), positives_(options) {}

  std::string_view name() const override { return "dpg"; }

  std::vector<Request> wants() const override {
    std::vector<Request> out;
    if (positives_.has_weighted()) out.push_back({Source::proposal, options_.batch});
    if (positives_.has_exact()) out.push_back(positives_.exact_request());
    for (Request& request : out) request.needs_log_q = true;
    return out;
  }

  std::int64_t inner_epochs() const override { return options_.inner_epochs_or(1); }
  bool may_resample() const override { return false; }

  Terms terms(std::span<const Batch> batches, const Current& current,
              const comm::Communicator& world) const override {
    PositiveWeights positives = positives_.weigh(batches[0], current.update, world);
    Terms out;
    out.numbers = {{"phi_power", positives.power}};
    out.skipped = std::move(positives.skipped);
    out.on_score.resize(batches.size());
    for (const Batch& batch : batches) {
      const smc::Population& p = batch.samples;
      const auto T = static_cast<double>(p.T);
      std::vector<double>& on_log_q = out.on_log_q.emplace_back(p.tokens.size());
      if (batch.request.source == Source::exact) {
        for (std::int64_t i = 0; i < p.size(); ++i)
          for (std::int64_t t = 0; t < p.T; ++t)
            on_log_q[p.at(i, t)] = -per_step_of(batch, i, positives.exact_share);
      } else {
        for (std::size_t i = 0; i < positives.weighted.size(); ++i)
          for (std::int64_t t = 0; t < p.T; ++t)
            on_log_q[p.at(static_cast<std::int64_t>(i), t)] = -positives.weighted[i] / T;
      }
    }
    return out;
  }

 private:
  ObjectiveOptions options_;
  PositiveSamples positives_;
};

}  // namespace

std::unique_ptr<Objective> make_dpg(const ObjectiveOptions& options) {
  return std::make_unique<Dpg>(options);
}

}  // namespace twistor::learn
