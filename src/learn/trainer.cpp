// The contrastive update.
#include "twistor/learn/trainer.hpp"

#include <ATen/ops/cat.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>

#include "twistor/base/error.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/learn/contrast.hpp"

namespace twistor::learn {
namespace {

constexpr std::int64_t hidden_budget_bytes = std::int64_t{256}
                                             << 20;  // hidden states of exact samples kept on a rank

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Runs body and adds its seconds.
template <class Body>
auto timed(double& seconds, Body body) {
  struct Stop {
    double& seconds;
    double begin = seconds_now();
    ~Stop() { seconds += seconds_now() - begin; }
  } const stop{seconds};
  return body();
}

}  // namespace

Objective objective_from_name(std::string_view name) {
  TWISTOR_CHECK(name == objective_name(Objective::ctl), ErrorKind::config, "reading train.objective",
                fmt::format("\"{}\" is not known, expected ctl", name));
  return Objective::ctl;
}

std::string_view objective_name(Objective objective) {
  switch (objective) {
    case Objective::ctl:
      return "ctl";
  }
  TWISTOR_ASSERT(false, "every objective has a name");
}

Positives positives_from_name(std::string_view name) {
  if (name == "exact") return Positives::exact;
  if (name == "weighted") return Positives::weighted;
  TWISTOR_CHECK(name == "both", ErrorKind::config, "reading train.positives",
                fmt::format("\"{}\" is not known, expected exact, weighted or both", name));
  return Positives::both;
}

/// Terms g log psi(token | hidden row) of the loss, by the shards that this rank owns.
struct Trainer::Items {
  struct Shard {
    std::vector<at::Tensor> hidden;
    std::vector<std::int64_t> tokens;
    std::vector<double> weight;
  };
  std::int64_t first_shard = 0;
  std::vector<Shard> shards;
  FixedPointSum loss;  ///< this rank's part of sum g log psi
};

void require_shards(std::int64_t n_ranks, std::int64_t n_shards) {
  TWISTOR_CHECK(n_ranks <= n_shards, ErrorKind::config, "starting to learn",
                fmt::format("{} ranks share {} shards of a batch", n_ranks, n_shards),
                "raise train.shards (the learned bits depend on it) or use fewer ranks");
}

Trainer::Trainer(const smc::Problem& problem, twist::HeadTwist& twist, const TrainOptions& options,
                 const estimate::ExactSource& exact, const comm::Communicator& world)
    : problem_(problem), twist_(twist), options_(options), exact_(exact), world_(world) {
  state_.objective = objective_name(options.objective);
  require_shards(world.size(), options.n_shards);
  TWISTOR_CHECK(options.positives == Positives::weighted || exact.n > 0, ErrorKind::config,
                "starting to learn",
                "train.positives asks for exact samples of the target, and there are none",
                "set train.positives = weighted, or raise exact.budget");
}

Trainer::Items Trainer::negatives(std::uint64_t seed, UpdateReport& report) {
  const smc::Proposal proposal(problem_.lm, twist_, smc::ProposalKind::twisted);
  smc::SweepOptions sweep_options;
  sweep_options.particles = options_.batch;
  sweep_options.length = options_.length;
  sweep_options.trigger = smc::Trigger::never;
  sweep_options.n_shards = options_.n_shards;
  sweep_options.keep_hidden = true;
  sweep_options.seed = derive_seed(seed, Stream::negatives, 0);
  const smc::Sweep sweep =
      timed(report.times.sample_s, [&] { return smc::sweep(problem_, proposal, sweep_options, world_); });
  report.times.sweep = sweep.counters;
  report.log_z = sweep.log_z;

  const smc::Population& p = sweep.particles;
  const std::int64_t T = options_.length, k = p.size(), S = options_.n_shards, P = world_.size(),
                     r = world_.rank();
  Items items;
  items.first_shard = S * r / P;
  items.shards.resize(static_cast<std::size_t>(S * (r + 1) / P - items.first_shard));
  const double share = options_.positives == Positives::exact  ? 0.0
                       : options_.positives == Positives::both ? 0.5
                                                               : 1.0;
  Contrast contrast = contrastive_weights(p, sweep.log_phi, share, world_);
  move_to_end(p.tokens, T, problem_.lm.absorbing_token(), contrast.weight);
  report.negative_ess = contrast.negative_ess;
  report.has_weighted_positives = contrast.has_positives;
  report.is_skipped = !contrast.has_positives && options_.positives == Positives::weighted;
  for (std::int64_t i = 0; i < k; ++i) {
    // Shard s holds the ids [K s / S, K (s + 1) / S).
    const std::int64_t id = p.ids[static_cast<std::size_t>(i)];
    std::size_t s = 0;
    while (options_.batch * (items.first_shard + static_cast<std::int64_t>(s) + 1) / S <= id) ++s;
    Items::Shard& shard = items.shards[s];
    shard.hidden.push_back(sweep.hidden.select(0, i));
    for (std::int64_t t = 0; t < T; ++t) {
      shard.tokens.push_back(p.tokens[p.at(i, t)]);
      shard.weight.push_back(contrast.weight[p.at(i, t)]);
      items.loss.add(contrast.weight[p.at(i, t)] * p.log_psi[p.at(i, t)]);
    }
  }
  return items;
}

const at::Tensor& Trainer::positive_hidden(std::int64_t index, const std::vector<std::int64_t>& tokens) {
  if (const auto found = hidden_of_exact_.find(index); found != hidden_of_exact_.end()) return found->second;
  at::Tensor hidden = estimate::hidden_states(problem_, options_.length, tokens).select(0, 0);
  kept_bytes_ += static_cast<std::int64_t>(hidden.nbytes());
  if (kept_bytes_ > hidden_budget_bytes) {
    hidden_of_exact_.clear();
    kept_bytes_ = static_cast<std::int64_t>(hidden.nbytes());
  }
  return hidden_of_exact_[index] = std::move(hidden);
}

void Trainer::exact_positives(std::uint64_t seed, double share, Items& items, UpdateReport& report) {
  const double g = -share / static_cast<double>(options_.positive_batch * options_.length);
  const std::int64_t n = options_.positive_batch, S = options_.n_shards;
  timed(report.times.positives_s, [&] {
    for (std::size_t s = 0; s < items.shards.size(); ++s) {
      const std::int64_t number = items.first_shard + static_cast<std::int64_t>(s);
      std::vector<at::Tensor> hidden;
      std::vector<std::int64_t> tokens;
      for (std::int64_t j = n * number / S; j < n * (number + 1) / S; ++j) {
        Philox random(seed, Stream::exact_choice, 0, static_cast<std::uint64_t>(j));
        const auto index = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(exact_.n)));
        const std::vector<std::int64_t> sample = exact_.sample(index);
        hidden.push_back(positive_hidden(index, sample));
        tokens.insert(tokens.end(), sample.begin(), sample.end());
      }
      if (tokens.empty()) continue;
      std::vector<double> weight(tokens.size(), g);
      move_to_end(tokens, options_.length, problem_.lm.absorbing_token(), weight);
      const std::vector<double> log_psi = twist::log_psi_at(twist_, twist_.features(at::cat(hidden)), tokens);
      for (std::size_t i = 0; i < tokens.size(); ++i) items.loss.add(weight[i] * log_psi[i]);
      Items::Shard& shard = items.shards[s];
      shard.hidden.insert(shard.hidden.end(), hidden.begin(), hidden.end());
      shard.tokens.insert(shard.tokens.end(), tokens.begin(), tokens.end());
      shard.weight.insert(shard.weight.end(), weight.begin(), weight.end());
    }
  });
}

UpdateReport Trainer::update() {
  UpdateReport report;
  const std::uint64_t seed =
      derive_seed(options_.seed, Stream::update, static_cast<std::uint64_t>(state_.update));
  Items items = negatives(seed, report);
  // Where no sample of q has phi > 0, the exact positives carry the whole weight.
  if (options_.positives != Positives::weighted)
    exact_positives(seed, options_.positives == Positives::both && report.has_weighted_positives ? 0.5 : 1.0,
                    items, report);
  ++state_.update;
  comm::all_reduce(std::span(&items.loss, 1), world_);
  report.loss = report.is_skipped ? std::numeric_limits<double>::quiet_NaN() : items.loss.value();
  if (report.is_skipped) return report;

  std::vector<twist::HeadGradient> gradients = timed(report.times.gradient_s, [&] {
    std::vector<twist::HeadGradient> out;
    for (const Items::Shard& shard : items.shards) {
      if (shard.tokens.empty()) {
        out.emplace_back();
        out.back().dense.resize(static_cast<std::size_t>(twist_.n_dense()));
      } else {
        out.push_back(twist_.gradient(at::cat(shard.hidden), shard.tokens, shard.weight));
      }
    }
    return out;
  });
  const auto [dense, rows] = timed(report.times.reduce_s, [&] {
    std::vector<float> sum(static_cast<std::size_t>(twist_.n_dense()));
    std::vector<std::span<float>> leaves;
    std::vector<comm::RowSparse> sparse;
    for (twist::HeadGradient& g : gradients) {
      leaves.emplace_back(g.dense);
      sparse.push_back({std::move(g.rows), std::move(g.row_values), problem_.lm.feature_size() + 1});
    }
    if (!sum.empty()) comm::tree_all_reduce(leaves, items.first_shard, options_.n_shards, sum, world_);
    return std::pair(std::move(sum),
                     comm::tree_all_reduce(std::move(sparse), items.first_shard, options_.n_shards, world_));
  });
  timed(report.times.step_s, [&] { apply(dense, rows); });
  return report;
}

void Trainer::apply(const std::vector<float>& dense, const comm::RowSparse& rows) {
  ++state_.adam_step;
  std::vector<twist::Parameter>& parameters = twist_.parameters();
  std::size_t at = 0;
  for (std::size_t i = 0; i + 2 < parameters.size(); ++i) {
    std::vector<float>& value = parameters[i].value;
    adam_step(options_.adam, state_.adam_step, std::span(dense).subspan(at, value.size()), value,
              state_.moments[parameters[i].name]);
    at += value.size();
  }
  // The output layer: rows without a gradient still move by their moments.
  twist::Parameter &weight = parameters[parameters.size() - 2], &bias = parameters.back();
  adam_rows(options_.adam, state_.adam_step, rows.rows, rows.values, weight.value, bias.value,
            state_.moments[weight.name], state_.moments[bias.name]);
  twist_.refresh();
}

void Trainer::resume(TrainerState state) {
  TWISTOR_CHECK(state.objective == objective_name(options_.objective), ErrorKind::config, "resuming learning",
                fmt::format("the saved state was learned with train.objective = {}, this run has {}",
                            state.objective, objective_name(options_.objective)),
                "set train.objective back, or choose another run.output to start anew");
  for (const twist::Parameter& parameter : twist_.parameters()) {
    if (state.adam_step == 0) continue;
    const auto found = state.moments.find(parameter.name);
    TWISTOR_CHECK(found != state.moments.end() && found->second.m.size() == parameter.value.size() &&
                      found->second.v.size() == parameter.value.size(),
                  ErrorKind::data, "resuming learning",
                  fmt::format("the moments of {} are missing or do not fit", parameter.name));
  }
  state_ = std::move(state);
}

}  // namespace twistor::learn
