// Estimates of a run's cost.
#include "twistor/app/cost.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "twistor/base/log.hpp"
#include "twistor/base/stopwatch.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/learn/registry.hpp"
#include "twistor/report/progress.hpp"
#include "twistor/twist/twist.hpp"

namespace twistor::app {
namespace {

/// Work of `n` sequences of T tokens.
Work sequences(std::string what, std::int64_t n, const Config& config) {
  return {std::move(what), n, n * config.target.length};
}

/// Of one evaluation: four estimators of log Z, samples of q, and exact samples scored by q.
std::int64_t sequences_of_evaluation(const Config& config, std::int64_t n_exact) {
  const std::int64_t estimators = n_exact > 0 ? 4 : 2;
  return estimators * config.evaluate.repeats * config.smc.sweep.particles + config.evaluate.samples +
         std::min(config.evaluate.samples, n_exact);
}

/// phi = 1: the sweep is timed without it.
class One final : public potential::Potential {
 public:
  [[nodiscard]] std::vector<double> log_phi(const potential::Sequences& sequences) const override {
    return std::vector<double>(static_cast<std::size_t>(sequences.size()), 0.0);
  }
  [[nodiscard]] double log_phi_bound() const override { return 0; }
  [[nodiscard]] std::string description() const override { return "1"; }
};

void add_rejection(const Config& config, std::int64_t n_exact, std::vector<Work>& work) {
  if (n_exact >= 0) return;
  work.push_back(sequences(fmt::format("exact samples (rejection, at most {} draws)", config.exact.budget),
                           config.exact.budget, config));
  work.back().is_limit = true;
}

/// 1234567 as 1,234,567.
std::string grouped(std::int64_t n) {
  std::string out = fmt::format("{}", n);
  for (auto at = static_cast<std::ptrdiff_t>(out.size()) - 3; at > 0; at -= 3)
    out.insert(static_cast<std::size_t>(at), ",");
  return out;
}

/// Sequences that sweeps draw for one update.
std::int64_t samples_of_update(const TrainConfig& train) {
  std::int64_t n = 0;
  for (const learn::Request& request : learn::make_objective(train.objective, train.samples)->wants())
    n += request.source == learn::Source::exact ? 0 : request.n;
  return n;
}

}  // namespace

std::vector<Work> work_of_evaluation(const Config& config, std::int64_t n_exact) {
  std::vector<Work> work;
  add_rejection(config, n_exact, work);
  const std::int64_t n = config.evaluate.base ? 2 : 1;
  const std::int64_t with_exact = n_exact < 0 ? config.exact.count : n_exact;
  work.push_back(sequences(fmt::format("{} evaluation{}", n, n > 1 ? "s" : ""),
                           n * sequences_of_evaluation(config, with_exact), config));
  return work;
}

std::vector<Work> work_of_training(const Config& config, std::int64_t first_update, std::int64_t n_exact) {
  std::vector<Work> work;
  add_rejection(config, n_exact, work);
  const TrainConfig& train = config.train;
  const std::int64_t updates = std::max<std::int64_t>(0, train.updates - first_update);
  if (updates > 0)
    work.push_back(
        sequences(fmt::format("learning ({} updates)", updates), updates * samples_of_update(train), config));
  std::int64_t n = 1;  // at the end; before each epoch that has not begun; of the base model
  if (train.evaluate) {
    std::int64_t begin = 0;
    for (const std::int64_t end : epoch_ends(train)) {
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

std::vector<Work> work_of_sampling(const Config& config) {
  const std::int64_t n =
      config.sample.from == "draws" ? config.sample.count * config.smc.sweep.particles : config.sample.count;
  return {sequences(fmt::format("sampling ({} sequences)", config.sample.count), n, config)};
}

Speed calibrate(const Session& session) {
  constexpr std::int64_t most_tokens = 8, particles_of_a_rank = 16;
  const comm::Communicator& group = session.groups().group;
  smc::SweepOptions options = session.sweep_options();
  options.trigger = smc::Trigger::never;
  options.length = std::min(options.length, most_tokens);
  options.particles = std::min(options.particles, particles_of_a_rank * group.size());
  const twist::NoTwist none(session.lm().vocab_size());
  const One one;
  const smc::Problem problem = session.problem();
  const Stopwatch of_sweep;
  const smc::Sweep sweep = smc::sweep({problem.lm, session.prompt(), one, problem.start},
                                      session.make_proposal(none), options, group);
  const double sweep_s = of_sweep.seconds();
  // phi of T tokens: those of the sweep, again and again.
  const std::int64_t n = sweep.particles.size(), T = session.config().target.length;
  std::vector<std::int64_t> tokens;
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t t = 0; t < T; ++t)
      tokens.push_back(
          sweep.particles.tokens[static_cast<std::size_t>(i * options.length + t % options.length)]);
  const bool is_timed = session.config().target.potential != "process";
  const Stopwatch of_phi;
  if (is_timed && n > 0) (void)session.potential().log_phi({session.prompt(), tokens, T});
  double slowest[2] = {sweep_s, of_phi.seconds()};
  comm::all_reduce_max(std::span<double>(slowest), session.world());
  const auto in_all =
      static_cast<double>(options.particles * session.world().size()) / static_cast<double>(group.size());
  return {in_all * static_cast<double>(options.length) / slowest[0],
          is_timed ? std::optional(slowest[1] / in_all) : std::nullopt};
}

std::string cost_text(const std::vector<Work>& work, const Speed& speed) {
  std::string out = "estimated work:";
  for (const Work& part : work) {
    const double seconds = static_cast<double>(part.tokens) / speed.tokens_per_s +
                           static_cast<double>(part.sequences) * speed.phi_s.value_or(0);
    out += fmt::format("{} {} {} tokens, {}{}", &part == &work.front() ? "" : ";", part.what,
                       grouped(part.tokens), part.is_limit ? "at most " : "about ",
                       report::duration_text(seconds));
  }
  const std::string phi =
      speed.phi_s ? fmt::format("phi {:.2g} ms a sequence; gradients come on top", 1e3 * *speed.phi_s)
                  : std::string("gradients and phi come on top");
  return out + fmt::format(" (calibrated: {} tokens/s, {})",
                           grouped(static_cast<std::int64_t>(std::llround(speed.tokens_per_s))), phi);
}

std::int64_t n_exact_without_draws(const Session& session) {
  switch (session.exact_way()) {
    case exact::Way::none:
      return 0;
    case exact::Way::joint:
      return 1;
    case exact::Way::enumeration:
      return session.config().exact.count;
    case exact::Way::rejection:
      return std::filesystem::exists(session.output("exact.h5")) ? session.config().exact.count : -1;
  }
  return 0;
}

void say_cost(const Session& session, const std::vector<Work>& work) {
  const Speed speed = calibrate(session);
  if (session.is_root()) log_info(cost_text(work, speed));
}

}  // namespace twistor::app
