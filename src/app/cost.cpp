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

/// Of one evaluation: four estimators of log Z, samples of q, and exact samples scored by q.
std::int64_t sequences_of_evaluation(const Config& config, std::int64_t n_exact) {
  const std::int64_t estimators = n_exact > 0 ? 4 : 2;
  return estimators * config.evaluate.repeats * config.smc.sweep.particles + config.evaluate.samples +
         std::min(config.evaluate.samples, n_exact);
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
  const std::int64_t n = config.evaluate.base ? 2 : 1;
  const std::int64_t with_exact = n_exact < 0 ? config.exact.count : n_exact;
  work.push_back(sequences(fmt::format("{} evaluation{}", n, n > 1 ? "s" : ""),
                           n * sequences_of_evaluation(config, with_exact), config));
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
  std::int64_t n = 1;  // at the end; before each epoch that has not begun; of the base model
  if (train.evaluate) {
    std::int64_t begin = 0;
    for (const std::int64_t end : train.epoch_ends()) {
      n += begin >= first_update && begin < train.updates ? 1 : 0;
      begin = end;
    }
    if (config.evaluate.base && config.twist.init_scale != 0 && first_update == 0) ++n;
  }
  const std::int64_t with_exact = n_exact < 0 ? config.exact.count : n_exact;
  work.push_back(sequences(fmt::format("{} evaluation{}", n, n > 1 ? "s" : ""),
                           n * sequences_of_evaluation(config, with_exact), config));
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

void say_cost(const Session& session, const std::vector<report::Work>& work) {
  const twist::NoTwist none(session.lm().vocab_size());
  // A program of somebody else may take its time.
  const bool is_phi_timed = session.config().target.potential != "process";
  const smc::Speed speed =
      smc::measure_speed(session.problem(), session.make_proposal(none), session.sweep_options(),
                         is_phi_timed, session.world(), session.groups());
  if (session.is_root()) log_info(report::cost_text(work, speed.tokens_per_s, speed.phi_s));
}

}  // namespace twistor::app
