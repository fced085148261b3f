// The sandwich on log Z and the KL estimators.
#include "twistor/estimate/log_z.hpp"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/comm/collectives.hpp"

namespace twistor::estimate {
namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr std::int64_t sequences_at_once = 64;  // bounds the cache of a teacher-forced pass
constexpr std::int64_t samples_at_once = 256;   // and of a sweep of independent samples

/// Numbers of one repeat, as they travel between groups.
struct Run {
  double sis_lower = not_a_number, sis_upper = not_a_number, smc_lower = not_a_number,
         smc_upper = not_a_number;
  double variance = 0, final_ess = 0;
};

/// All repeats in their order, on every rank: the first rank of each group gives its group's.
template <class T>
std::vector<T> gather_repeats(const std::vector<T>& mine, std::int64_t repeats,
                              const comm::Communicator& world, const comm::Groups& groups) {
  const bool is_leader = groups.group.rank() == 0;
  const std::vector<T> all =
      comm::all_gather(is_leader ? std::span<const T>(mine) : std::span<const T>{}, world);
  // Leaders come in the order of groups; group g holds the repeats g, g + G, ...
  std::vector<T> ordered(static_cast<std::size_t>(repeats));
  std::size_t next = 0;
  for (std::int64_t g = 0; g < groups.n_groups; ++g)
    for (std::int64_t i = g; i < repeats; i += groups.n_groups)
      ordered[static_cast<std::size_t>(i)] = all[next++];
  return ordered;
}

std::vector<double> column(const std::vector<Run>& runs, double Run::*member) {
  std::vector<double> out;
  for (const Run& run : runs) out.push_back(run.*member);
  return out;
}

double mean_of(const std::vector<double>& x) {
  return std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
}

/// Everything that one repeat gives.
class Repeat {
 public:
  Repeat(const smc::Problem& problem, const smc::Proposal& proposal, const BoundOptions& options,
         const ExactSource& exact, const comm::Communicator& group, std::int64_t index)
      : problem_(problem),
        proposal_(proposal),
        options_(options),
        exact_(exact),
        group_(group),
        index_(index) {}

  Run run(smc::SweepCounters& counters, std::vector<double>& ess) {
    Run out;
    const smc::Sweep smc = sweep(options_.sweep, 0, {}, counters);
    out.smc_lower = smc.log_z;
    out.variance = smc.log_z_variance;
    out.final_ess = smc.final_ess;
    ess = smc.ess;
    smc::SweepOptions sis = options_.sweep;
    sis.trigger = smc::Trigger::never;
    out.sis_lower = sweep(sis, 1, {}, counters).log_z;
    if (exact_.n > 0) {
      const std::vector<std::int64_t> path = exact_.sample(index_ % exact_.n);
      out.smc_upper = sweep(options_.sweep, 2, path, counters).log_z;
      out.sis_upper = sweep(sis, 3, path, counters).log_z;
    }
    return out;
  }

 private:
  smc::Sweep sweep(smc::SweepOptions options, std::uint64_t which,
                   std::optional<std::span<const std::int64_t>> pinned, smc::SweepCounters& counters) {
    options.seed =
        derive_seed(options_.sweep.seed, Stream::repeat, 4 * static_cast<std::uint64_t>(index_) + which);
    smc::Sweep result = smc::sweep(problem_, proposal_, options, group_, pinned);
    counters.add(result.counters);
    return result;
  }

  const smc::Problem& problem_;
  const smc::Proposal& proposal_;
  const BoundOptions& options_;
  const ExactSource& exact_;
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

}  // namespace

LogZBounds bound_log_z(const smc::Problem& problem, const smc::Proposal& proposal,
                       const BoundOptions& options, const ExactSource& exact, const comm::Communicator& world,
                       const comm::Groups& groups) {
  LogZBounds out;
  std::vector<Run> mine;
  std::vector<double> my_ess;
  for (std::int64_t i = groups.group_index; i < options.repeats; i += groups.n_groups) {
    std::vector<double> ess;
    mine.push_back(Repeat(problem, proposal, options, exact, groups.group, i).run(out.counters, ess));
    my_ess.insert(my_ess.end(), ess.begin(), ess.end());
  }
  const std::vector<Run> runs = gather_repeats(mine, options.repeats, world, groups);
  out.sis_lower_runs = column(runs, &Run::sis_lower);
  out.smc_lower_runs = column(runs, &Run::smc_lower);
  out.sis_lower = mean_estimate(out.sis_lower_runs);
  out.smc_lower = mean_estimate(out.smc_lower_runs);
  out.has_upper = exact.n > 0;
  if (out.has_upper) {
    out.sis_upper_runs = column(runs, &Run::sis_upper);
    out.smc_upper_runs = column(runs, &Run::smc_upper);
    out.sis_upper = mean_estimate(out.sis_upper_runs);
    out.smc_upper = mean_estimate(out.smc_upper_runs);
  }
  out.genealogical_variance = mean_of(column(runs, &Run::variance));
  out.mean_final_ess = mean_of(column(runs, &Run::final_ess));

  // ESS per step: fixed-point sums, so that the shape of the reduction does not matter.
  const auto steps = static_cast<std::size_t>(my_ess.size() / std::max<std::size_t>(1, mine.size()));
  const auto n_steps =
      static_cast<std::size_t>(comm::all_reduce_max(static_cast<std::int64_t>(steps), world));
  std::vector<FixedPointSum> sums(n_steps);
  if (groups.group.rank() == 0)
    for (std::size_t i = 0; i < my_ess.size(); ++i) sums[i % steps].add(my_ess[i]);
  comm::all_reduce(sums, world);
  for (const FixedPointSum& sum : sums)
    out.mean_ess.push_back(sum.value() / static_cast<double>(options.repeats));
  return out;
}

at::Tensor hidden_states(const smc::Problem& problem, std::int64_t length,
                         std::span<const std::int64_t> tokens) {
  const std::int64_t n = static_cast<std::int64_t>(tokens.size()) / length;
  auto prompt_cache = problem.lm.make_cache(1);
  const at::Tensor prompt = problem.lm.forward(problem.prompt, *prompt_cache);
  const std::int64_t d = prompt.size(2);
  at::Tensor out = at::empty({n, length, d}, prompt.options());
  out.select(1, 0).copy_(prompt.select(1, prompt.size(1) - 1).expand({n, d}));
  for (std::int64_t begin = 0; begin < n && length > 1; begin += sequences_at_once) {
    const std::int64_t end = std::min(n, begin + sequences_at_once);
    std::vector<std::int64_t> heads;  // all but the last token of each sequence
    for (std::int64_t i = begin; i < end; ++i)
      heads.insert(heads.end(), tokens.begin() + i * length, tokens.begin() + (i + 1) * length - 1);
    auto cache = prompt_cache->fork();
    cache->select(std::vector<std::int64_t>(static_cast<std::size_t>(end - begin), 0));
    out.slice(0, begin, end).slice(1, 1, length).copy_(problem.lm.forward(heads, *cache));
  }
  return out;
}

ForcedPass forced_pass(const smc::Problem& problem, const smc::Proposal& proposal, std::int64_t length,
                       std::span<const std::int64_t> tokens) {
  ForcedPass out{std::vector<double>(tokens.size()), std::vector<double>(tokens.size()),
                 std::vector<double>(tokens.size())};
  const at::Tensor hidden = hidden_states(problem, length, tokens);
  const at::Tensor rows = hidden.view({-1, hidden.size(2)});
  constexpr std::int64_t rows_at_once = 512;
  for (std::int64_t begin = 0; begin < rows.size(0); begin += rows_at_once) {
    const at::Tensor h = rows.slice(0, begin, std::min(rows.size(0), begin + rows_at_once));
    std::vector<std::int64_t> identity(static_cast<std::size_t>(h.size(0)));
    std::iota(identity.begin(), identity.end(), std::int64_t{0});
    const smc::Draws scored = proposal.score_tokens(
        proposal.score(h), h, identity, tokens.subspan(static_cast<std::size_t>(begin), identity.size()));
    std::copy(scored.log_q.begin(), scored.log_q.end(), out.log_q.begin() + begin);
    std::copy(scored.log_p0.begin(), scored.log_p0.end(), out.log_p0.begin() + begin);
    std::copy(scored.log_psi.begin(), scored.log_psi.end(), out.log_psi.begin() + begin);
  }
  // psi stays what it was at the end of a text.
  const std::int64_t end = problem.lm.absorbing_token();
  for (std::size_t i = 0; end >= 0 && i < tokens.size(); ++i)
    if (i % static_cast<std::size_t>(length) != 0 && tokens[i - 1] == end)
      out.log_psi[i] = out.log_psi[i - 1];
  return out;
}

ProposalKl proposal_kl(const smc::Problem& problem, const smc::Proposal& proposal, std::int64_t length,
                       std::int64_t n, std::uint64_t seed, const ExactSource& exact,
                       const comm::Communicator& world) {
  struct Numbers {
    double ratio, log_phi, kl_q_p0;
  };
  ProposalKl out;
  const auto row_sum = [&](const std::vector<double>& x, std::int64_t i) {
    return std::accumulate(x.begin() + i * length, x.begin() + (i + 1) * length, 0.0);
  };
  std::vector<Numbers> all;
  for (std::int64_t begin = 0; begin < n; begin += samples_at_once) {
    // Without resampling a sweep is that many independent draws of q.
    smc::SweepOptions options;
    options.particles = std::min(samples_at_once, n - begin);
    options.length = length;
    options.trigger = smc::Trigger::never;
    options.seed = derive_seed(seed, Stream::proposal_check, static_cast<std::uint64_t>(begin));
    const smc::Sweep sweep = smc::sweep(problem, proposal, options, world);
    const smc::Population& p = sweep.particles;
    std::vector<Numbers> mine;
    for (std::int64_t i = 0; i < p.size(); ++i) {
      const double log_q = row_sum(p.log_q, i), log_p0 = row_sum(p.log_p0, i),
                   log_phi = sweep.log_phi[static_cast<std::size_t>(i)];
      mine.push_back({log_p0 + log_phi - log_q, log_phi, log_q - log_p0});
    }
    const auto part =
        comm::all_gather_v(std::span<const Numbers>(mine), part_of(options.particles, world).counts, world);
    all.insert(all.end(), part.begin(), part.end());
  }
  const auto estimate = [&](double Numbers::*member) {
    std::vector<double> x;
    for (const Numbers& numbers : all) x.push_back(numbers.*member);
    return mean_estimate(x);
  };
  out.f_q = estimate(&Numbers::ratio);
  out.log_phi = estimate(&Numbers::log_phi);
  out.kl_q_p0 = estimate(&Numbers::kl_q_p0);
  out.has_g = exact.n > 0;
  if (out.has_g) {
    const Part part = part_of(std::min(n, exact.n), world);
    std::vector<std::int64_t> tokens;
    for (std::int64_t i = part.begin; i < part.end; ++i) {
      const std::vector<std::int64_t> s = exact.sample(i);
      tokens.insert(tokens.end(), s.begin(), s.end());
    }
    const ForcedPass pass = forced_pass(problem, proposal, length, tokens);
    const std::vector<double> log_phi = problem.potential.log_phi({problem.prompt, tokens, length});
    std::vector<double> mine;
    for (std::int64_t i = 0; i < part.end - part.begin; ++i)
      mine.push_back(row_sum(pass.log_p0, i) + log_phi[static_cast<std::size_t>(i)] - row_sum(pass.log_q, i));
    out.g_q = mean_estimate(comm::all_gather_v(std::span<const double>(mine), part.counts, world));
  }
  return out;
}

KlFromLogZ kl_from_log_z(const ProposalKl& kl, double log_z) {
  const Estimate unknown{not_a_number, not_a_number, 0};
  KlFromLogZ out{{log_z - kl.f_q.mean, kl.f_q.se, kl.f_q.n}, unknown, unknown};
  if (kl.has_g) {
    out.sigma_q = {kl.g_q.mean - log_z, kl.g_q.se, kl.g_q.n};
    out.symmetrised = {kl.g_q.mean - kl.f_q.mean, std::hypot(kl.g_q.se, kl.f_q.se),
                       std::min(kl.g_q.n, kl.f_q.n)};
  }
  return out;
}

double best_log_z(const LogZBounds& bounds, double exact) {
  if (!std::isnan(exact)) return exact;
  if (!bounds.has_upper) return std::max(bounds.sis_lower.mean, bounds.smc_lower.mean);
  const double sis_gap = bounds.sis_upper.mean - bounds.sis_lower.mean,
               smc_gap = bounds.smc_upper.mean - bounds.smc_lower.mean;
  return smc_gap <= sis_gap ? 0.5 * (bounds.smc_lower.mean + bounds.smc_upper.mean)
                            : 0.5 * (bounds.sis_lower.mean + bounds.sis_upper.mean);
}

}  // namespace twistor::estimate
