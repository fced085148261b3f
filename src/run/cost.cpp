// SPDX-License-Identifier: Apache-2.0
// Estimates of a run's cost.
#include "twistor/run/cost.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "twistor/base/log.hpp"
#include "twistor/learn/registry.hpp"
#include "twistor/smc/speed.hpp"
#include "twistor/twist/twist.hpp"

namespace twistor::run {
namespace {

/// Of exact samples that there are or will be: those that rejection draws.
std::vector<report::Work> rejection(std::int64_t n_exact, const Config& config) {
  if (n_exact >= 0) return {};
  return {report::work_of_rejection(config.exact.budget, config.target.length)};
}

/// So many evaluations.
std::vector<report::Work> evaluations(std::int64_t n, std::int64_t n_exact, const Config& config) {
  std::vector<report::Work> work = rejection(n_exact, config);
  std::int64_t each =
      config.evaluate.n_sequences(config.smc.sweep.particles, n_exact < 0 ? config.exact.count : n_exact);
  if (config.twist.condition != model::Condition::none) each *= config.evaluate.observations;
  work.push_back(report::work_of_evaluations(n, each, config.target.length));
  return work;
}

}  // namespace

std::vector<report::Work> work_of_evaluation(const Config& config, std::int64_t n_exact) {
  const std::int64_t n_policies =
      std::ranges::count_if(config.policies, [](const auto& policy) { return policy.second.is_given(); });
  const auto n_twists = std::max<std::int64_t>(1, std::ssize(config.evaluate.named_checkpoints()));
  return evaluations(
      (config.evaluate.base ? 1 : 0) + (config.smc.draws_from_policy() ? 0 : n_twists) + n_policies, n_exact,
      config);
}

std::vector<report::Work> work_of_grid(const Config& config, const estimate::Grid& grid,
                                       std::size_t n_samplers, std::int64_t n_exact) {
  std::vector<report::Work> work = rejection(n_exact, config);
  const auto n = static_cast<std::int64_t>(n_samplers);
  const std::int64_t each =
      estimate::n_sequences(grid, config.evaluate, n_exact < 0 ? config.exact.count : n_exact);
  work.push_back(
      report::work_of(fmt::format("{} evaluations", n * grid.size()), n * each, config.target.length));
  return work;
}

std::vector<report::Work> work_of_training(const Config& config, std::int64_t first_update,
                                           std::int64_t n_exact) {
  const TrainConfig& train = config.train;
  const std::int64_t updates = std::max<std::int64_t>(0, train.updates - first_update);
  const bool is_base_apart = train.course.evaluate && config.evaluate.base && !config.twist.starts_at_one();
  const std::int64_t n = train.course.n_evaluations(train.updates, first_update);
  std::vector<report::Work> work =
      evaluations(n + (is_base_apart && first_update == 0 ? 1 : 0), n_exact, config);
  if (updates > 0)
    work.insert(work.end() - 1,
                report::work_of(fmt::format("learning ({} updates)", updates),
                                updates * learn::samples_of_update(train.objective, train.samples),
                                config.target.length));
  return work;
}

std::vector<report::Work> work_of_sampling(const Config& config) {
  const std::int64_t n = config.sample.from == estimate::DrawFrom::draws
                             ? config.sample.count * config.smc.sweep.particles * (1 + config.sample.moves)
                             : config.sample.count;
  return {
      report::work_of(fmt::format("sampling ({} sequences)", config.sample.count), n, config.target.length)};
}

std::int64_t n_exact_without_draws(const Session& session) {
  return exact::n_without_draws(session.exact_way(), session.config().exact.count,
                                std::filesystem::exists(session.output("exact.h5")));
}

void say_cost(const Session& session, std::vector<report::Work> work) {
  if (!session.prompts().empty())
    report::repeat_for_prompts(work, static_cast<std::int64_t>(session.prompts().size()));
  const twist::NoTwist none(session.lm().vocab_size());
  // A program of somebody else may take its time.
  const bool is_phi_timed = session.config().target.potential != "process";
  const smc::Speed speed =
      smc::measure_speed(session.problem(), session.make_proposal(none), session.sweep_options(),
                         is_phi_timed, session.world(), session.groups());
  if (session.is_root()) log_info(report::cost_text(work, speed.tokens_per_s, speed.phi_s));
}

}  // namespace twistor::run
