// SPDX-License-Identifier: Apache-2.0
// Makes what phi names less probable: samples of sigma show where q still writes it (arXiv 2510.21184).
#include <algorithm>
#include <cmath>
#include <memory>

#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/base/reproducible_sum.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/learn/positives.hpp"
#include "twistor/learn/registry.hpp"

namespace twistor::learn {
namespace {

/// log E_q[phi] + avoid_kl KL(q || p0) + avoid_reward E_q[log phi].
class Avoid final : public Objective {
 public:
  explicit Avoid(const ObjectiveOptions& options) : options_(options) {
    TWISTOR_CHECK(options.batch > 1, ErrorKind::config, "reading train.batch",
                  "train.objective = avoid compares samples of q with one another, and there is one",
                  "set train.batch = 64");
    TWISTOR_CHECK(options.holdout == 0, ErrorKind::config, "reading train.holdout",
                  "train.objective = avoid goes away from its samples, and cannot learn them by heart",
                  "set train.holdout = 0");
  }

  std::string_view name() const override { return "avoid"; }

  /// Those of sigma, and those of q that keep it near p0.
  std::vector<Request> wants() const override {
    return {{Source::round, options_.positive_batch}, {Source::proposal, options_.batch}};
  }

  std::optional<RoundPlan> rounds() const override {
    return RoundPlan{
        .updates = options_.round_updates, .samples = options_.round_samples, .is_of_base = true};
  }
  std::int64_t inner_epochs() const override {
    return 1;
  }  // its gradient is that of samples of the q that is
  bool may_resample() const override { return false; }
  bool needs_ratio() const override { return true; }

  Terms terms(std::span<const Batch> batches, const Current& current,
              const comm::Communicator& world) const override {
    Terms out;
    out.loss.emplace();
    out.numbers = {{"round_ess", batches[0].weight_ess}};
    if (batches[0].weight_ess == 0)
      out.skipped =
          "no sample of p0 had phi > 0; raise train.round_samples, or name samples of a twist "
          "(train.round_file)";
    if (!out.skipped.empty()) return out;
    if (options_.avoid_reward > 0 &&
        comm::all_reduce_sum(std::ranges::count(batches[1].log_phi, log_zero), world) > 0) {
      out.skipped =
          "phi is 0 for a sample, and train.avoid_reward counts log phi; set it to 0, or a finite "
          "target.log_floor";
      return out;
    }
    const Ratios of_sigma(batches[0], current), of_q(batches[1], current);
    out.on_score = lower(batches, {&of_sigma, &of_q}, out, world);
    const std::vector<double> held = hold(batches[1], of_q, out, world);
    for (std::size_t i = 0; i < held.size(); ++i) out.on_score[1][i] += held[i];
    return out;
  }

 private:
  /// log q / p0 of texts, up to their end.
  struct Ratios {
    Ratios(const Batch& batch, const Current& current)
        : ended(current.problem.lm.end_rule().mask(batch.samples.tokens, batch.samples.T)),
          log_ratio(static_cast<std::size_t>(batch.samples.size())) {
      for (std::int64_t i = 0; i < batch.samples.size(); ++i)
        for (std::int64_t t = 0; t < batch.samples.T; ++t)
          if (const std::size_t at = batch.samples.at(i, t); ended[at] == 0)
            log_ratio[static_cast<std::size_t>(i)] += batch.samples.log_psi[at];
    }
    /// (k, T) one number for each text, 0 after its end.
    [[nodiscard]] std::vector<double> spread(const std::vector<double>& of_text, std::int64_t T) const {
      std::vector<double> out(ended.size());
      for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = ended[i] != 0 ? 0 : of_text[i / static_cast<std::size_t>(T)];
      return out;
    }
    std::vector<char> ended;        // (k, T)
    std::vector<double> log_ratio;  // (k)
  };

  /// The gradient of log E_q[phi] is E[grad log q] under q phi / E_q[phi]. Samples of sigma show where phi is
  /// large, those of q where much of the rest is; together they are samples of a mixture, and their weights
  /// those of it (Veach and Guibas 1995). What they add to the scores of both batches.
  [[nodiscard]] static std::vector<std::vector<double>> lower(std::span<const Batch> batches,
                                                              const Ratios* const (&ratios)[2], Terms& out,
                                                              const comm::Communicator& world) {
    const auto n = static_cast<double>(batches[0].request.n + batches[1].request.n);
    const double log_sigma = std::log(static_cast<double>(batches[0].request.n) / n) - batches[0].log_z,
                 log_q = std::log(static_cast<double>(batches[1].request.n) / n);
    std::vector<std::vector<double>> weights;
    LogSum sum;
    for (std::size_t b = 0; b < 2; ++b) {
      std::vector<double> log_w = batches[b].log_phi;  // q phi over the mixture of sigma and q
      for (std::size_t i = 0; i < log_w.size(); ++i) {
        const double log_ratio = ratios[b]->log_ratio[i];
        if (log_w[i] != log_zero)
          log_w[i] += log_ratio - log_add_exp(log_sigma + batches[b].log_phi[i], log_q + log_ratio);
        sum.add(log_w[i]);
      }
      weights.push_back(std::move(log_w));
    }
    const double log_sum = comm::all_reduce(sum, world).log(), log_mean = log_sum - std::log(n);
    for (std::size_t b = 0; b < 2; ++b) {
      for (double& w : weights[b]) w = std::exp(w - log_sum);
      weights[b] = ratios[b]->spread(weights[b], batches[b].samples.T);
    }
    out.numbers.emplace_back("log_change", log_mean - batches[0].log_z);
    if (world.rank() == 0) out.loss->add(log_mean);
    return weights;
  }

  /// By the likelihood ratio, each sample against the mean of the others, which leaves the gradient unbiased.
  [[nodiscard]] std::vector<double> hold(const Batch& batch, const Ratios& ratios, Terms& out,
                                         const comm::Communicator& world) const {
    const auto n = static_cast<double>(batch.request.n);
    std::vector<double> cost = ratios.log_ratio;
    FixedPointSum sums[2];
    for (std::size_t i = 0; i < cost.size(); ++i) {
      sums[0].add(cost[i]);
      cost[i] *= options_.avoid_kl;
      if (options_.avoid_reward > 0) cost[i] += options_.avoid_reward * batch.log_phi[i];
      sums[1].add(cost[i]);
      out.loss->add(cost[i] / n);
    }
    comm::all_reduce(std::span(sums), world);
    out.numbers.emplace_back("kl_q_p0", sums[0].value() / n);
    const double mean = sums[1].value() / n;
    for (double& c : cost) c = (c - mean) / (n - 1);
    return ratios.spread(cost, batch.samples.T);
  }

  ObjectiveOptions options_;
};

}  // namespace

std::unique_ptr<Objective> make_avoid(const ObjectiveOptions& options) {
  return std::make_unique<Avoid>(options);
}

}  // namespace twistor::learn
