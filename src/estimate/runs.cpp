// SPDX-License-Identifier: Apache-2.0
// Repeats dealt out to groups, samples dealt out to ranks.
#include "twistor/estimate/runs.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <string_view>

#include "twistor/base/log_space.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/smc/forced_pass.hpp"

namespace twistor::estimate {
namespace {

constexpr std::int64_t samples_at_once = 256;  // bounds the cache of a sweep of independent samples

/// The repeats of one round in their order, on every rank: the first rank of each group that has one gives
/// it.
std::vector<BoundRun> gather_round(const BoundRun& mine, bool is_speaker, std::int64_t n,
                                   const comm::Communicator& world) {
  const std::vector<double> row = is_speaker ? to_numbers(mine) : std::vector<double>{};
  // Speakers come in the order of groups.
  const std::vector<double> all = comm::all_gather(std::span<const double>(row), world);
  const std::size_t stride = all.size() / static_cast<std::size_t>(n);
  std::vector<BoundRun> out;
  for (std::size_t at = 0; at < all.size(); at += stride)
    out.push_back(run_from_numbers(std::span(all).subspan(at, stride)));
  return out;
}

/// Whether Sweep::log_z_variance estimates anything: under stratified and residual resampling of nearly equal
/// weights, which is what good twists make of them, it is mostly negative (genealogy_test.cpp).
bool has_genealogical_estimate(const smc::SweepOptions& options) {
  return options.trigger == smc::Trigger::never ||
         (options.n_islands() == 0 &&
          (options.scheme == smc::SchemeKind::multinomial || options.scheme == smc::SchemeKind::systematic));
}

/// The sweeps of one repeat, one at a time, so that a signal is seen between them.
class Repeat {
 public:
  Repeat(const smc::Problem& problem, const smc::Proposal& proposal, const BoundOptions& options,
         const exact::Source& exact, const comm::Communicator& group, std::int64_t index)
      : problem_(problem),
        proposal_(proposal),
        options_(options),
        exact_(exact),
        group_(group),
        index_(index) {}

  static constexpr std::string_view names[] = {"repeats (SMC lower bound)", "repeats (SIS lower bound)",
                                               "repeats (SMC upper bound)", "repeats (SIS upper bound)"};

  /// Sweep `which`, named above. *Collective over the group.*
  void run(std::size_t which, BoundRun& out, smc::SweepCounters& counters) {
    const bool is_upper = which >= 2, is_sis = which % 2 == 1;
    smc::SweepOptions options = options_.sweep;
    if (is_sis) options.trigger = smc::Trigger::never;
    std::vector<std::int64_t> path;
    if (is_upper) path = exact_.sample(index_ % exact_.n);
    if (is_upper && is_cut_off(path)) {
      (is_sis ? out.sis_upper : out.smc_upper) = -log_zero;
      return;
    }
    const smc::Sweep sweep = this->sweep(options, which, path, counters);
    (is_upper ? is_sis ? out.sis_upper : out.smc_upper
     : is_sis ? out.sis_lower
              : out.smc_lower) = sweep.log_z;
    if (which > 0) return;
    if (has_genealogical_estimate(options)) out.variance = sweep.log_z_variance;
    out.final_ess = sweep.final_ess;
    out.ess = sweep.ess;
    out.founders = static_cast<double>(sweep.n_founders);
    out.survivors.assign(sweep.unique_ancestors.begin(), sweep.unique_ancestors.end());
  }

 private:
  /// Whether q cannot draw a path at all: a pinned particle's weight would be infinite, and Z_hat with it.
  /// *Local*, the same on all ranks.
  [[nodiscard]] bool is_cut_off(std::span<const std::int64_t> path) const {
    if (!proposal_.may_cut_support()) return false;
    const smc::ForcedPass pass =
        smc::forced_pass(problem_, proposal_, static_cast<std::int64_t>(path.size()), path);
    return std::ranges::find(pass.log_q, log_zero) != pass.log_q.end();
  }

  /// An empty path pins nothing.
  smc::Sweep sweep(smc::SweepOptions options, std::uint64_t which, std::span<const std::int64_t> path,
                   smc::SweepCounters& counters) {
    options.wish = options_.steering.wish;
    options.seed =
        derive_seed(options_.sweep.seed, Stream::repeat, 4 * static_cast<std::uint64_t>(index_) + which);
    smc::Sweep result =
        smc::sweep(problem_, proposal_, options, group_, path.empty() ? std::nullopt : std::optional(path));
    add_counters(counters, result.counters);
    return result;
  }

  const smc::Problem& problem_;
  const smc::Proposal& proposal_;
  const BoundOptions& options_;
  const exact::Source& exact_;
  const comm::Communicator& group_;
  std::int64_t index_;
};

/// This rank's part [n r / P, n (r + 1) / P) of n numbered samples, and all parts' sizes.
struct Part {
  std::int64_t begin, end;
  std::vector<std::int64_t> counts;
};
Part part_of(std::int64_t n, const comm::Communicator& world) {
  const std::int64_t size = world.size(), r = world.rank();
  Part part{n * r / size, n * (r + 1) / size, {}};
  for (std::int64_t i = 0; i < size; ++i) part.counts.push_back(n * (i + 1) / size - n * i / size);
  return part;
}

double row_sum(const std::vector<double>& x, std::int64_t i, std::int64_t length) {
  return std::accumulate(x.begin() + i * length, x.begin() + (i + 1) * length, 0.0);
}

/// What psi says of sample i at psi_steps(), and what followed.
void note_psi(const smc::Population& p, std::int64_t i, double log_phi, ProposalSample& sample) {
  const std::array<std::int64_t, n_psi_steps> steps = psi_steps(p.T);
  for (std::size_t j = 0; j < n_psi_steps; ++j) {
    sample.log_psi[j] = p.log_psi[p.at(i, steps[j] - 1)];
    sample.log_future[j] = log_phi;
    for (std::int64_t t = steps[j]; t < p.T; ++t)
      sample.log_future[j] += p.log_p0[p.at(i, t)] - p.log_q[p.at(i, t)];
  }
}

/// Adds the next samples_at_once samples of q. False if a rank wished to stop. *Collective over world.*
bool measure_q(const smc::Problem& problem, const smc::Proposal& proposal, const SampleOptions& options,
               const comm::Communicator& world, std::vector<ProposalSample>& q) {
  const auto begin = static_cast<std::int64_t>(q.size());
  // Without resampling a sweep is that many independent draws of q.
  smc::SweepOptions sweep_options;
  sweep_options.particles = std::min(samples_at_once, options.n - begin);
  sweep_options.length = options.length;
  sweep_options.trigger = smc::Trigger::never;
  sweep_options.seed = derive_seed(options.seed, Stream::proposal_check, static_cast<std::uint64_t>(begin));
  sweep_options.wish = options.steering.wish;
  const smc::Sweep sweep = smc::sweep(problem, proposal, sweep_options, world);
  if (!sweep.is_complete) return false;
  const smc::Population& p = sweep.particles;
  const smc::ForcedPass forced = smc::forced_pass(problem, proposal, options.length, p.tokens);
  std::vector<ProposalSample> mine;
  for (std::int64_t i = 0; i < p.size(); ++i) {
    const double log_q = row_sum(p.log_q, i, options.length), log_p0 = row_sum(p.log_p0, i, options.length),
                 log_phi = sweep.log_phi[static_cast<std::size_t>(i)];
    mine.push_back({log_p0 + log_phi - log_q, log_phi, log_q - log_p0,
                    std::abs(log_q - row_sum(forced.log_q, i, options.length))});
    note_psi(p, i, log_phi, mine.back());
  }
  const auto all = comm::all_gather_v(std::span<const ProposalSample>(mine),
                                      part_of(sweep_options.particles, world).counts, world);
  q.insert(q.end(), all.begin(), all.end());
  return true;
}

/// Adds the next samples_at_once exact samples. *Collective over world.*
void measure_g(const smc::Problem& problem, const smc::Proposal& proposal, const SampleOptions& options,
               const exact::Source& exact, const comm::Communicator& world, std::vector<double>& g) {
  const auto begin = static_cast<std::int64_t>(g.size());
  const Part part = part_of(std::min(samples_at_once, std::min(options.n, exact.n) - begin), world);
  std::vector<std::int64_t> tokens;
  for (std::int64_t i = part.begin; i < part.end; ++i) {
    const std::vector<std::int64_t> s = exact.sample(begin + i);
    tokens.insert(tokens.end(), s.begin(), s.end());
  }
  const smc::ForcedPass pass = smc::forced_pass(problem, proposal, options.length, tokens);
  const std::vector<double> log_phi = problem.potential.log_phi({problem.prompt, tokens, options.length});
  std::vector<double> mine;
  for (std::int64_t i = 0; i < part.end - part.begin; ++i)
    mine.push_back(row_sum(pass.log_p0, i, options.length) + log_phi[static_cast<std::size_t>(i)] -
                   row_sum(pass.log_q, i, options.length));
  const auto all = comm::all_gather_v(std::span<const double>(mine), part.counts, world);
  g.insert(g.end(), all.begin(), all.end());
}

}  // namespace

bool run_repeats(const smc::Problem& problem, const smc::Proposal& proposal, const BoundOptions& options,
                 const exact::Source& exact, const comm::Communicator& world, const comm::Groups& groups,
                 Findings& found, smc::SweepCounters& counters) {
  const std::size_t n_sweeps = exact.n > 0 ? 4 : 2;
  while (static_cast<std::int64_t>(found.repeats.size()) < options.repeats) {
    // One repeat for each group; in the last round some groups may be without. All ask for signals alike.
    const auto first = static_cast<std::int64_t>(found.repeats.size());
    const std::int64_t mine = first + groups.group_index;
    Repeat repeat(problem, proposal, options, exact, groups.group, mine);
    BoundRun run;
    for (std::size_t which = 0; which < n_sweeps; ++which) {
      options.steering.observe(Repeat::names[which], first, options.repeats);
      if (mine < options.repeats) repeat.run(which, run, counters);
      // A sweep that was cut short is thrown away here: whoever wished for that wishes for it still.
      if (is_interrupted(options.steering.interrupt)) return false;
    }
    const bool is_speaker = groups.group.rank() == 0 && mine < options.repeats;
    const std::vector<BoundRun> round = gather_round(
        run, is_speaker, std::min<std::int64_t>(groups.n_groups, options.repeats - first), world);
    found.repeats.insert(found.repeats.end(), round.begin(), round.end());
    options.steering.observe(Repeat::names[n_sweeps - 1], static_cast<std::int64_t>(found.repeats.size()),
                             options.repeats);
  }
  return true;
}

bool run_samples(const smc::Problem& problem, const smc::Proposal& proposal, const SampleOptions& options,
                 const exact::Source& exact, const comm::Communicator& world, Findings& found) {
  while (static_cast<std::int64_t>(found.q.size()) < options.n) {
    options.steering.observe("samples of the proposal (F_q)", static_cast<std::int64_t>(found.q.size()),
                             options.n);
    if (is_interrupted(options.steering.interrupt)) return false;
    if (!measure_q(problem, proposal, options, world, found.q)) return false;
  }
  const std::int64_t n_exact = std::min(options.n, exact.n);
  while (static_cast<std::int64_t>(found.g.size()) < n_exact) {
    options.steering.observe("exact samples (G_q)", static_cast<std::int64_t>(found.g.size()), n_exact);
    if (is_interrupted(options.steering.interrupt)) return false;
    measure_g(problem, proposal, options, exact, world, found.g);
  }
  options.steering.observe("samples", options.n, options.n);
  return true;
}

}  // namespace twistor::estimate
