// SPDX-License-Identifier: Apache-2.0
// The keys train.* of objectives and of the trainer.
#include "twistor/learn/options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "twistor/base/error.hpp"
#include "twistor/config/make_key.hpp"

namespace twistor::learn {
namespace {

using config::key, config::learning;

constexpr double most_particles = 2147483646.0;  // the resampling schemes count in 31 bits
constexpr config::Range samples{1, most_particles};

/// The part of one of n problems that share an update. Throws Error(config) if batches are no multiples.
ObjectiveOptions part_of_update(ObjectiveOptions all, std::int64_t n, const char* key, const char* what) {
  const auto check = [&](std::int64_t n_samples, const char* name) {
    TWISTOR_CHECK(n_samples % n == 0, ErrorKind::config, "starting to learn",
                  fmt::format("train.{} = {} {} cannot share train.{} = {} samples alike", key, n, what, name,
                              n_samples),
                  "make it a multiple");
  };
  check(all.batch, "batch");
  if (all.positives != Positives::weighted) check(all.positive_batch, "positive_batch");
  all.batch /= n;
  all.positive_batch /= n;
  return all;
}

}  // namespace

ObjectiveOptions ObjectiveOptions::per_observation() const {
  ObjectiveOptions out = part_of_update(*this, observations, "observations", "observations");
  if (positives == Positives::automatic) out.positives = Positives::exact;  // one comes with each
  out.is_of_observation = true;
  return out;
}

ObjectiveOptions ObjectiveOptions::per_prompt() const {
  return part_of_update(*this, prompts_per_update, "prompts_per_update", "prompts");
}

void ObjectiveOptions::visit_keys(const config::Visitor& visit) {
  visit(learning(key("batch", "negative samples per update", samples)), &batch);
  visit(learning(key("positives", "where positive samples come from")), config::Choice(positives));
  visit(learning(key("negatives", "ctl: where psi falls")), config::Choice(negatives));
  visit(learning(key("positive_batch", "positive samples per update", samples)), &positive_batch);
  visit(learning(key("observations", "conditional twists: observations per update", samples)), &observations);
  visit(learning(key("prompts_per_update", "many prompts: those of an update", samples)),
        &prompts_per_update);
  visit(learning(key("inner_epochs", "steps of Adam on each batch, 0: 4 for ppo, else 1", {0, 1000000})),
        &inner_epochs);
  visit(learning(key("anneal", "first updates in which phi may be annealed", config::count_from(0))),
        &anneal);
  visit(learning(key("anneal_ess", "effective positives that annealing asks for", config::positive)),
        &anneal_ess);
  visit(learning(key("ppo_clip", "ppo: how far probabilities and values may move", config::positive)),
        &ppo_clip);
  visit(learning(key("ppo_lambda", "ppo: lambda of the advantages", {0, 1})), &ppo_lambda);
  visit(learning(key("ppo_value_weight", "ppo: weight of the value's loss", config::non_negative)),
        &ppo_value_weight);
  visit(learning(key("round_updates", "distill, avoid: updates of a round", {1, 1e9})), &round_updates);
  visit(learning(key("round_samples", "distill, avoid: samples that a round learns from", samples)),
        &round_samples);
  visit(learning(key("holdout", "distill: share of a round's samples that tell when to end it", {0, 0.9})),
        &holdout);
  visit(learning(key("avoid_kl", "avoid: weight of KL(q || p0)", config::non_negative)), &avoid_kl);
  visit(learning(key("avoid_reward", "avoid: weight of E_q[log phi]", config::non_negative)), &avoid_reward);
}

void TrainOptions::visit_keys(const config::Visitor& visit) {
  visit(learning(key("learning_rate", "Adam's step size", config::positive)), &adam.learning_rate);
  visit(learning(key("warm_up", "first updates, in which the step size rises", config::count_from(0))),
        &warm_up);
  visit(learning(key("decay", "how the step size falls until the last update")), config::Choice(decay));
  visit(learning(key("clip_norm", "longest gradient, 0: any", config::non_negative)), &clip_norm);
  visit(
      learning(key("shards", "fixed parts of a batch, for the same sums on any number of ranks", {1, 65536})),
      &n_shards);
  visit(learning(key("positive_ids", "a sequence with phi > 0, as token ids")), &known_positive);
}

double rate_factor(const TrainOptions& o, std::int64_t update) {
  if (update < o.warm_up) return static_cast<double>(update + 1) / static_cast<double>(o.warm_up);
  if (o.decay == Decay::none || update >= o.n_updates) return 1;
  const double done = static_cast<double>(update - o.warm_up) /
                      static_cast<double>(std::max<std::int64_t>(1, o.n_updates - o.warm_up));
  return o.decay == Decay::linear ? 1 - done : 0.5 * (1 + std::cos(std::numbers::pi * done));
}

}  // namespace twistor::learn
