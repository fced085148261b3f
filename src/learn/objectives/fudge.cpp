// SPDX-License-Identifier: Apache-2.0
// FUDGE (Yang and Klein 2021): psi_t as the probability that a sample of p0 that begins with s_{1:t} ends
// well, by logistic regression on samples of p0.
#include <fmt/format.h>

#include <cmath>
#include <memory>

#include "twistor/base/error.hpp"
#include "twistor/learn/positives.hpp"
#include "twistor/learn/registry.hpp"

namespace twistor::learn {
namespace {

/// Cross-entropy of psi_t against the label phi / max phi, at every step.
class Fudge final : public Objective {
 public:
  explicit Fudge(const ObjectiveOptions& options) : options_(options) {}

  std::string_view name() const override { return "fudge"; }
  /// Of the target of one observation, which samples of p0 hardly ever meet, half are exact samples up to
  /// some token.
  std::vector<Request> wants() const override {
    if (!options_.is_of_observation || options_.batch < 2) return {{Source::base, options_.batch}};
    const std::int64_t rerolled = options_.batch / 2;
    return {{Source::base, options_.batch - rerolled}, {Source::reroll, rerolled}};
  }
  std::int64_t inner_epochs() const override { return options_.inner_epochs_or(1); }
  twist::Link link() const override { return twist::Link::log_sigmoid; }

  void check(const smc::Problem& problem) const override {
    TWISTOR_CHECK(std::isfinite(problem.potential.log_phi_bound()), ErrorKind::config, "starting to learn",
                  fmt::format("train.objective = fudge reads phi / max phi as a probability, and no bound of "
                              "phi is known: {}",
                              problem.potential.description()),
                  "set train.objective = ctl, or bound the potential (target.cap, where it has one)");
  }

  Terms terms(std::span<const Batch> batches, const Current& current,
              const comm::Communicator&) const override {
    Terms out;
    out.loss.emplace();
    const double log_bound = current.problem.potential.log_phi_bound();
    for (const Batch& batch : batches) {
      const double part = static_cast<double>(batch.request.n) / static_cast<double>(options_.batch);
      add(batch, per_step(batch, part), log_bound, out);
    }
    return out;
  }

 private:
  static void add(const Batch& batch, double share, double log_bound, Terms& out) {
    const smc::Population& p = batch.samples;
    std::vector<double>& on_score = out.on_score.emplace_back(p.tokens.size());
    for (std::int64_t i = 0; i < p.size(); ++i) {
      const auto at_i = static_cast<std::size_t>(i);
      const double label = std::exp(std::fmin(batch.log_phi[at_i] - log_bound, 0.0));
      for (std::int64_t t = batch.first_step.empty() ? 0 : batch.first_step[at_i]; t < p.T; ++t) {
        const double log_psi = p.log_psi[p.at(i, t)], psi = std::exp(log_psi);
        double loss = -label * log_psi;
        if (label < 1) loss -= (1 - label) * std::log(-std::expm1(log_psi));
        out.loss->add(share * loss);
        on_score[p.at(i, t)] = share * (psi - label);
      }
    }
  }

  ObjectiveOptions options_;
};

}  // namespace

std::unique_ptr<Objective> make_fudge(const ObjectiveOptions& options) {
  return std::make_unique<Fudge>(options);
}

}  // namespace twistor::learn
