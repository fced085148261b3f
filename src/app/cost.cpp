// SPDX-License-Identifier: Apache-2.0
// Estimates of a run's cost.
#include "twistor/app/cost.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "twistor/base/log.hpp"
#include "twistor/learn/registry.hpp"
#include "twistor/smc/speed.hpp"
#include "twistor/twist/twist.hpp"

namespace twistor::app {
namespace {

/// Work of `n` sequences of T tokens.
report::Work sequences(std::string what, std::int64_t n, const Config& config) {
  return {std::move(what), n, n * config.target.length};
}

/// So many evaluations, with the exact samples that there are or will be.
report::Work evaluations(std::int64_t n, std::int64_t n_exact, const Config& config) {
  std::int64_t each =
      config.evaluate.n_sequences(config.smc.sweep.particles, n_exact < 0 ? config.exact.count : n_exact);
  if (config.twist.condition != model::Condition::none) each *= config.evaluate.observations;
  return sequences(fmt::format("{} evaluation{}", n, n > 1 ? "s" : ""), n * each, config);
}

void add_rejection(const Config& config, std::int64_t n_exact, std::vector<report::Work>& work) {
  if (n_exact >= 0) return;
  work.push_back(sequences(fmt::format("exact samples (rejection, at most {} draws)", config.exact.budget),
                           config.exact.budget, config));
  work.back().is_limit = true;
}

}  // namespace

std::vector<report::Work> work_of_evaluation(const Config& config, std::int64_t n_exact) {
  std::vector<report::Work> work;
  add_rejection(config, n_exact, work);
  const std::int64_t n_policies =
      std::ranges::count_if(config.policies, [](const auto& policy) { return policy.second.is_given(); });
  const std::int64_t n =
      (config.evaluate.base ? 1 : 0) + (config.smc.draws_from_policy() ? 0 : 1) + n_policies;
  work.push_back(evaluations(n, n_exact, config));
  return work;
}

std::vector<report::Work> work_of_training(const Config& config, std::int64_t first_update,
                                           std::int64_t n_exact) {
  std::vector<report::Work> work;
  add_rejection(config, n_exact, work);
  const TrainConfig& train = config.train;
  const std::int64_t updates = std::max<std::int64_t>(0, train.updates - first_update);
  if (updates > 0)
    work.push_back(sequences(fmt::format("learning ({} updates)", updates),
                             updates * learn::samples_of_update(train.objective, train.samples), config));
  const bool is_base_apart = train.course.evaluate && config.evaluate.base && config.twist.init_scale != 0;
  const std::int64_t n = train.course.n_evaluations(train.updates, first_update);
  work.push_back(evaluations(n + (is_base_apart && first_update == 0 ? 1 : 0), n_exact, config));
  return work;
}

std::vector<report::Work> work_of_sampling(const Config& config) {
  const std::int64_t n = config.sample.from == estimate::DrawFrom::draws
                             ? config.sample.count * config.smc.sweep.particles
                             : config.sample.count;
  return {sequences(fmt::format("sampling ({} sequences)", config.sample.count), n, config)};
}

std::int64_t n_exact_without_draws(const Session& session) {
  return exact::n_without_draws(session.exact_way(), session.config().exact.count,
                                std::filesystem::exists(session.output("exact.h5")));
}

void say_cost(const Session& session, std::vector<report::Work> work) {
  const auto n_prompts = static_cast<std::int64_t>(session.prompts().size());
  for (report::Work& part : work) {
    if (n_prompts == 0) break;
    part.what += fmt::format(" of each of {} prompts", n_prompts);
    part.sequences *= n_prompts;
    part.tokens *= n_prompts;
  }
  const twist::NoTwist none(session.lm().vocab_size());
  // A program of somebody else may take its time.
  const bool is_phi_timed = session.config().target.potential != "process";
  const smc::Speed speed =
      smc::measure_speed(session.problem(), session.make_proposal(none), session.sweep_options(),
                         is_phi_timed, session.world(), session.groups());
  if (session.is_root()) log_info(report::cost_text(work, speed.tokens_per_s, speed.phi_s));
}

}  // namespace twistor::app
