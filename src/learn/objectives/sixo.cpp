// SPDX-License-Identifier: Apache-2.0
// SIXO (Lawson et al. 2022; Zhao et al. 2024, app. on SIXO): psi_t as the ratio of sigma to p0 that a
// classifier finds when it tells prefixes of positive samples from prefixes of p0.
#include <cmath>
#include <memory>
#include <utility>

#include "twistor/base/log_space.hpp"
#include "twistor/learn/positives.hpp"
#include "twistor/learn/registry.hpp"

namespace twistor::learn {
namespace {

class Sixo final : public Objective {
 public:
  explicit Sixo(const ObjectiveOptions& options) : options_(options), positives_(options) {}

  std::string_view name() const override { return "sixo"; }

  /// Positives of q, exact ones, and as many negatives of p0 as there are samples of q or of sigma.
  std::vector<Request> wants() const override {
    std::vector<Request> out = positives_.requests();
    out.push_back({Source::base, options_.batch});
    return out;
  }

  std::int64_t inner_epochs() const override { return options_.inner_epochs_or(1); }

  Terms terms(std::span<const Batch> batches, const Current& current,
              const comm::Communicator& world) const override {
    PositiveWeights positives = positives_.weigh(batches, current.update, world);
    Terms out;
    out.loss.emplace();
    out.numbers = positives.numbers();
    out.skipped = std::move(positives.skipped);
    for (const Batch& batch : batches) {
      const bool is_negative = batch.request.source == Source::base;
      add(batch,
          is_negative ? std::vector<double>(static_cast<std::size_t>(batch.samples.size()), per_step(batch))
                      : positives.per_step(batch),
          is_negative ? -1 : 1, out);
    }
    return out;
  }

 private:
  /// -weight log sigmoid(sign log psi) for every step. // weight: (k) of a step of each sequence
  static void add(const Batch& batch, std::span<const double> weight, int sign, Terms& out) {
    const smc::Population& p = batch.samples;
    std::vector<double>& on_score = out.on_score.emplace_back(p.tokens.size());
    for (std::int64_t i = 0; i < p.size(); ++i)
      for (std::int64_t t = 0; t < p.T; ++t) {
        const double x = sign * p.log_psi[p.at(i, t)], w = weight[static_cast<std::size_t>(i)];
        out.loss->add(-w * log_sigmoid(x));
        on_score[p.at(i, t)] = -w * sign * std::exp(log_sigmoid(-x));
      }
  }

  ObjectiveOptions options_;
  PositiveSamples positives_;
};

}  // namespace

std::unique_ptr<Objective> make_sixo(const ObjectiveOptions& options) {
  return std::make_unique<Sixo>(options);
}

}  // namespace twistor::learn
