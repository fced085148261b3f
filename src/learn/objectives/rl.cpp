// SPDX-License-Identifier: Apache-2.0
// Soft Q-learning of twists ("RL" in Zhao et al. 2024, Sec. 4.2; path consistency, Nachum et al. 2017): log
// psi_t is drawn to what the twist of one token later says that it is worth.
#include <cmath>
#include <memory>

#include "twistor/comm/collectives.hpp"
#include "twistor/learn/positives.hpp"
#include "twistor/learn/registry.hpp"

namespace twistor::learn {
namespace {

/// Squared errors of log psi_t against log sum_v p0 psi_{t+1}, and of log psi_T against log phi. Targets
/// carry no gradient.
class SoftQ final : public Objective {
 public:
  explicit SoftQ(const ObjectiveOptions& options) : options_(options), positives_(options) {}

  std::string_view name() const override { return "rl"; }

  std::vector<Request> wants() const override {
    std::vector<Request> out{{.source = Source::proposal, .n = options_.batch, .needs_log_q = true}};
    for (Request request : positives_.own_requests()) {
      request.needs_log_q = true;
      out.push_back(request);
    }
    return out;
  }

  std::int64_t inner_epochs() const override { return options_.inner_epochs_or(1); }

  Terms terms(std::span<const Batch> batches, const Current& current,
              const comm::Communicator& world) const override {
    Terms out;
    out.loss.emplace();
    std::int64_t n_forbidden = 0;
    for (const Batch& batch : batches) {
      const std::vector<double> log_phi = log_phi_of(batch, current);
      for (const double value : log_phi) n_forbidden += std::isinf(value) ? 1 : 0;
      add_errors(batch, log_phi, out);
    }
    if (comm::all_reduce_sum(n_forbidden, world) > 0)
      out.skipped =
          "phi is 0 for a sample, and rl fits log phi; set a finite target.log_floor, or train.objective = "
          "ctl";
    return out;
  }

 private:
  static std::vector<double> log_phi_of(const Batch& batch, const Current& current) {
    if (batch.request.source != Source::exact) return batch.log_phi;
    return current.problem.potential.log_phi({current.problem.prompt, batch.samples.tokens, batch.samples.T});
  }

  static void add_errors(const Batch& batch, std::span<const double> log_phi, Terms& out) {
    const smc::Population& p = batch.samples;
    const std::vector<double> next = log_next_psi(batch);
    std::vector<double>& on_score = out.on_score.emplace_back(p.tokens.size());
    for (std::int64_t i = 0; i < p.size(); ++i) {
      if (std::isinf(log_phi[static_cast<std::size_t>(i)])) continue;
      const double share = per_step_of(batch, i);
      for (std::int64_t t = 0; t < p.T; ++t) {
        const double target = t + 1 < p.T ? next[p.at(i, t + 1)] : log_phi[static_cast<std::size_t>(i)];
        const double error = p.log_psi[p.at(i, t)] - target;
        out.loss->add(share * error * error);
        on_score[p.at(i, t)] = 2 * share * error;
      }
    }
  }

  ObjectiveOptions options_;
  PositiveSamples positives_;
};

}  // namespace

std::unique_ptr<Objective> make_rl(const ObjectiveOptions& options) {
  return std::make_unique<SoftQ>(options);
}

}  // namespace twistor::learn
