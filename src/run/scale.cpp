// SPDX-License-Identifier: Apache-2.0
// Calibrating a run, and forecasting it on many ranks.
#include "twistor/run/scale.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <fstream>

#include "twistor/base/error.hpp"
#include "twistor/base/log.hpp"
#include "twistor/base/stopwatch.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/config/make_key.hpp"
#include "twistor/learn/checkpoint.hpp"
#include "twistor/learn/registry.hpp"
#include "twistor/learn/trainer.hpp"
#include "twistor/run/twist_store.hpp"
#include "twistor/smc/memory.hpp"

namespace twistor::run {
namespace {

constexpr const char* forecasting = "forecasting the cost on many ranks";
constexpr int repeats = 3;

/// Messages one after the other of a collective.
double depth_of(std::int64_t n_ranks) {
  return static_cast<double>(std::bit_width(static_cast<std::uint64_t>(n_ranks - 1)));
}

double message_s(const ScaleOptions& options) {
  return 1e-6 * options.latency_us;
}

double bytes_s(double n_bytes, const ScaleOptions& options) {
  return n_bytes / (1e9 * options.bandwidth_gb_s);
}

std::int64_t parts(std::int64_t n, std::int64_t of) {
  return (n + of - 1) / of;
}

double median_of(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

/// Resident bytes of this process; 0 where the system does not tell.
std::int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::int64_t all = 0, resident = 0;
  file >> all >> resident;
  return file ? resident * sysconf(_SC_PAGESIZE) : 0;
}

/// The twist of the run's checkpoint, if there is one; else a fresh one, which is psi = 1 for most forms.
LoadedTwist twist_for(Session& session) {
  const bool is_there = session.config().twist.is_computed() ||
                        session.config().smc.proposal.kind == smc::ProposalKind::base ||
                        learn::is_on_disk(twist_file(session), session.world());
  if (is_there) return load_twist(session, "scale");
  if (session.is_root())
    log_info("no checkpoint in run.output: a fresh twist's weights decide how often the forecast resamples");
  LoadedTwist out;
  out.twist = session.make_twist(session.config().train.objective);
  out.trigger = session.sweep_options().trigger;
  return out;
}

/// A population of n particles on this rank alone, the slowest rank's times.
struct Measured {
  double compute_s = 0, wall_s = 0;
  smc::Sweep sweep;
};

class Calibration {
 public:
  Calibration(const Session& session, const twist::Twist& twist, smc::Trigger trigger)
      : problem_(session.problem()),
        proposal_(session.make_proposal(twist)),
        options_(session.sweep_options()),
        world_(session.world()) {
    options_.trigger = trigger;
    options_.wish = {};
  }

  [[nodiscard]] const smc::Problem& problem() const { return problem_; }
  [[nodiscard]] const smc::Proposal& proposal() const { return proposal_; }
  [[nodiscard]] const smc::SweepOptions& options() const { return options_; }

  /// The populations grow up to a rank's share while time is left.
  void run(SweepForecast& out, double most_s) {
    constexpr std::int64_t first = 16, growth = 4;
    std::int64_t n = std::min(out.share, first);
    (void)measure(n);  // what is done only once
    Measured now = measure(n);
    std::optional<std::pair<std::int64_t, Measured>> before;
    while (n < out.share && now.wall_s * static_cast<double>(growth) < most_s) {
      before.emplace(n, std::move(now));
      n = std::min(out.share, growth * n);
      now = measure(n);
    }
    std::vector<double> compute{now.compute_s}, wall{now.wall_s};
    for (int i = 1; i < repeats; ++i) {
      const Measured again = measure(n);
      compute.push_back(again.compute_s);
      wall.push_back(again.wall_s);
    }
    const auto to_share = [&](double at_n, double at_before) {
      const double more = static_cast<double>(out.share - n);
      if (more <= 0) return at_n;
      const double slope = before ? (at_n - at_before) / static_cast<double>(n - before->first)
                                  : at_n / static_cast<double>(n);
      return at_n + more * std::max(0.0, slope);
    };
    out.compute = {n, to_share(median_of(compute), before ? before->second.compute_s : 0)};
    out.alone = {n, to_share(median_of(wall), before ? before->second.wall_s : 0)};
    spread_ = smc::spread_of(now.sweep.ess, n, options_.trigger, options_.ess_threshold);
    tokens_ = std::move(now.sweep.particles.tokens);
  }

  [[nodiscard]] const smc::Spread& spread() const { return spread_; }
  /// Its sequences, as exact samples: learning from them takes as long as from others.
  [[nodiscard]] exact::Source samples() const {
    const std::int64_t T = options_.length;
    return {static_cast<std::int64_t>(tokens_.size()) / T, [this, T](std::int64_t i) {
              return std::vector<std::int64_t>(tokens_.begin() + i * T, tokens_.begin() + (i + 1) * T);
            }};
  }

 private:
  /// *Collective over the world*, though ranks do not talk meanwhile.
  Measured measure(std::int64_t n) const {
    smc::SweepOptions options = options_;
    options.particles = n;
    (void)comm::all_reduce_max(std::int64_t{0}, world_);  // all begin together
    const Stopwatch watch;
    smc::Sweep done = smc::sweep(problem_, proposal_, options, comm::Communicator::self());
    const double wall = watch.seconds();
    double times[2] = {wall - done.counters.resample_s, wall};
    comm::all_reduce_max(std::span<double>(times), world_);
    return {times[0], times[1], std::move(done)};
  }

  smc::Problem problem_;
  smc::Proposal proposal_;
  smc::SweepOptions options_;
  const comm::Communicator& world_;
  smc::Spread spread_;
  std::vector<std::int64_t> tokens_;
};

/// What R ranks share of an update, for one of them.
struct UpdateShare {
  learn::ObjectiveOptions samples;
  learn::TrainOptions train;
};

UpdateShare share_of_update(const Session& session, std::int64_t n_ranks) {
  const Config& config = session.config();
  UpdateShare out{config.train.samples, config.train.trainer};
  out.train.sums = session.gradient_sums();
  out.train.length = config.target.length;
  out.train.n_updates = config.train.updates;
  out.train.seed = config.run.seed;
  if (out.samples.positives == learn::Positives::automatic) out.samples.positives = learn::Positives::exact;
  const std::int64_t all = out.train.n_shards, own = parts(all, n_ranks);
  out.train.n_shards = own;
  out.samples.batch = parts(out.samples.batch * own, all);
  out.samples.positive_batch = parts(out.samples.positive_batch * own, all);
  return out;
}

/// Why an update cannot be forecast; empty: it can.
std::string why_no_update(const Session& session) {
  const Config& config = session.config();
  if (config.train.updates == 0) return "train.updates = 0";
  if (config.twist.is_computed()) return "the twist is computed";
  if (config.smc.proposal.kind == smc::ProposalKind::base) return "smc.proposal = base";
  if (session.conditional() != nullptr)
    return "the twist sees observations, whose islands are whole on ranks";
  if (config.train.objective == "distill" || config.train.objective == "avoid")
    return "train.objective = " + config.train.objective + " learns in rounds";
  if (config.train.samples.positives == learn::Positives::conditional &&
      config.train.trainer.known_positive.empty())
    return "train.positives = conditional needs train.positive_ids here";
  return {};
}

/// Seconds of an update, the slowest rank's. *Collective over `world`*; `comm` is the one that learns.
double measure_updates(learn::Trainer& trainer, const comm::Communicator& world) {
  (void)trainer.update();
  std::vector<double> times;
  for (int i = 0; i < repeats; ++i) {
    (void)comm::all_reduce_max(std::int64_t{0}, world);
    const Stopwatch watch;
    (void)trainer.update();
    times.push_back(comm::all_reduce_max(watch.seconds(), world));
  }
  return median_of(times);
}

double measure_updates(Session& session, const UpdateShare& share, const exact::Source& samples,
                       const comm::Communicator& comm) {
  const std::string& name = session.config().train.objective;
  const std::unique_ptr<twist::Trainable> twist = session.make_twist(name, Session::Changes::alone);
  const smc::Problem problem = session.problem();
  learn::Trainer trainer(problem, *twist, learn::make_objective(name, share.samples), share.train, samples,
                         comm);
  return measure_updates(trainer, session.world());
}

}  // namespace

void ScaleOptions::visit_keys(const config::Visitor& visit) {
  using config::key;
  visit(key("ranks", "ranks to forecast, in one population", {1, 1048576}), &ranks);
  visit(key("latency_us", "assumed: microseconds of a message between two ranks", config::non_negative),
        &latency_us);
  visit(key("bandwidth_gb_s", "assumed: GB/s that a rank receives", config::positive), &bandwidth_gb_s);
  visit(
      key("speedup", "assumed: how many times faster a rank computes there than one here", config::positive),
      &speedup);
  visit(key("calibration_s", "seconds that the calibration's largest sweep may take", config::positive),
        &calibration_s);
  visit(key("check", "do the same work with the ranks that are here, as many as --ranks, and compare"),
        &check);
}

void add_network(SweepForecast& sweep, const ScaleOptions& options) {
  if (options.ranks == 1) return;
  const double depth = depth_of(options.ranks), n_gathers = static_cast<double>(sweep.moves.resamplings + 1);
  const double n_reductions = static_cast<double>(sweep.length + 1);
  const double gathered = 8.0 * static_cast<double>(sweep.particles);
  // One more broadcast at the end; assignments go out one by one.
  const double n_told = static_cast<double>(sweep.moves.resamplings * (options.ranks - 1));
  sweep.collectives_s = ((n_reductions + n_gathers + 1) * depth + n_told) * message_s(options) +
                        bytes_s(n_gathers * gathered + static_cast<double>(sweep.moves.told_bytes), options);
  sweep.moves_s = static_cast<double>(sweep.moves.busiest_messages) * message_s(options) +
                  bytes_s(static_cast<double>(sweep.moves.busiest_bytes), options);
}

void add_network(UpdateForecast& update, std::int64_t n_reductions, const ScaleOptions& options) {
  if (update.ranks == 1) return;
  const double depth = depth_of(update.ranks);
  update.collectives_s =
      static_cast<double>(n_reductions) * depth * message_s(options) +
      2 * depth * (message_s(options) + bytes_s(static_cast<double>(update.parameter_bytes), options));
}

namespace {

void require_forecastable(const Session& session, const ScaleOptions& options) {
  TWISTOR_CHECK(session.prompts().empty(), ErrorKind::config, forecasting, "prompt.file names many prompts",
                "they are dealt out to groups of ranks, which need not talk; give one prompt, and --ranks = "
                "run.ranks_per_population");
  TWISTOR_CHECK(session.config().smc.sweep.islands == 0, ErrorKind::config, forecasting,
                "smc.islands is not forecast", "set smc.islands = 0");
  TWISTOR_CHECK(!session.config().smc.draws_from_policy(), ErrorKind::config, forecasting,
                "smc.proposal is policy", "set smc.proposal = twisted or base");
  TWISTOR_CHECK(
      !options.check || options.ranks == session.world().size(), ErrorKind::config, forecasting,
      fmt::format("--check was asked for with --ranks {} on {} ranks", options.ranks, session.world().size()),
      fmt::format("start it with mpirun -n {}", options.ranks));
}

/// The sweep's forecast, and what its calibration leaves for that of an update.
SweepForecast forecast_sweep(Calibration& calibration, const Session& session, const ScaleOptions& options) {
  const smc::SweepOptions& sweep = calibration.options();
  SweepForecast out{
      .particles = sweep.particles, .share = parts(sweep.particles, options.ranks), .length = sweep.length};
  calibration.run(out, options.calibration_s);
  out.compute.seconds /= options.speedup;
  out.alone.seconds /= options.speedup;
  const bool is_before_draw =
      sweep.order == smc::Order::resample_first && calibration.proposal().weight_is_known_before_draw();
  const smc::TravelBytes bytes =
      smc::travel_bytes(calibration.problem(), calibration.proposal(), sweep.order);
  const auto simulate = [&] {
    return smc::simulate_sweep(sweep, static_cast<int>(options.ranks),
                               static_cast<std::int64_t>(session.prompt().size()), bytes,
                               calibration.spread(), is_before_draw);
  };
  (void)simulate();  // first uses of memory take time once, and not in every sweep
  out.moves = simulate();
  out.population_s = comm::all_reduce_max(out.moves.work_s, session.world());
  add_network(out, options);
  return out;
}

UpdateForecast forecast_update(Session& session, const exact::Source& samples, const ScaleOptions& options) {
  const Config& config = session.config();
  UpdateForecast out{.ranks = std::min(options.ranks, config.train.trainer.n_shards)};
  const UpdateShare share = share_of_update(session, out.ranks);
  out.samples = share.samples.batch;
  out.compute_s = measure_updates(session, share, samples, comm::Communicator::self()) / options.speedup;
  const std::string& name = config.train.objective;
  const std::unique_ptr<twist::Trainable> twist = session.make_twist(name, Session::Changes::alone);
  for (const twist::Parameter& p : twist->parameters())
    out.parameter_bytes += static_cast<std::int64_t>(p.value.size() * sizeof(float));
  const auto n_sweeps = std::ssize(learn::make_objective(name, share.samples)->wants());
  add_network(out, n_sweeps * (config.target.length + 1), options);
  return out;
}

MemoryForecast forecast_memory(const smc::Problem& problem, const SweepForecast& sweep,
                               std::int64_t resident) {
  const std::int64_t n_levels = sweep.length / model::block_tokens + 1;
  return {resident,
          sweep.share *
              smc::particle_bytes(problem.lm, *problem.start, sweep.length, 2, sweep.share < sweep.particles)
                  .all(),
          smc::population_bytes(sweep.particles, n_levels)};
}

double measure_sweep(const Calibration& calibration, const comm::Communicator& world) {
  std::vector<double> times;
  for (int i = 0; i <= repeats; ++i) {
    (void)comm::all_reduce_max(std::int64_t{0}, world);
    const Stopwatch watch;
    (void)smc::sweep(calibration.problem(), calibration.proposal(), calibration.options(), world);
    times.push_back(comm::all_reduce_max(watch.seconds(), world));
  }
  times.erase(times.begin());  // has done what is done only once
  return median_of(times);
}

}  // namespace

ScaleForecast forecast(Session& session, const ScaleOptions& options) {
  require_forecastable(session, options);
  ScaleForecast out{.options = options, .ranks_here = session.world().size()};
  LoadedTwist loaded = twist_for(session);
  const std::int64_t resident = comm::all_reduce_max(resident_bytes(), session.world());
  Calibration calibration(session, *loaded.twist, loaded.trigger);
  out.sweep = forecast_sweep(calibration, session, options);
  out.memory = forecast_memory(calibration.problem(), out.sweep, resident);
  if (options.check) out.measured_sweep_s = measure_sweep(calibration, session.world());
  out.no_update = why_no_update(session);
  if (!out.no_update.empty()) return out;
  loaded.twist.reset();  // with a body there is one twist at a time
  out.update = forecast_update(session, calibration.samples(), options);
  if (options.check && options.ranks <= session.config().train.trainer.n_shards)
    out.measured_update_s =
        measure_updates(session, share_of_update(session, 1), calibration.samples(), session.world());
  return out;
}

}  // namespace twistor::run
