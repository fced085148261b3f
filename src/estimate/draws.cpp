// SPDX-License-Identifier: Apache-2.0
// Draws from populations: swept by groups, gathered when they are saved and at the end.
#include "twistor/estimate/draws.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>
#include <optional>
#include <tuple>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/base/stopwatch.hpp"
#include "twistor/comm/collectives.hpp"

namespace twistor::estimate {
namespace {

/// Far from the indices that evaluations use in the same stream.
constexpr std::uint64_t first_population = std::uint64_t{1} << 32;

/// A sequence without its tokens, as it travels between ranks.
struct Facts {
  std::int64_t population, id;
  double log_p0, log_q, log_phi, log_weight;
};

/// What ranks exchange: facts, and the tokens in the same order.
struct Packed {
  std::vector<Facts> facts;
  std::vector<std::int64_t> tokens;

  void add(const WeightedSequence& s) {
    facts.push_back({s.population, s.id, s.log_p0, s.log_q, s.log_phi, s.log_weight});
    tokens.insert(tokens.end(), s.tokens.begin(), s.tokens.end());
  }
};

/// All ranks' sequences, by population and id, on every rank. *Collective over comm.*
std::vector<WeightedSequence> gather(const Packed& mine, std::int64_t T, const comm::Communicator& comm) {
  const std::vector<Facts> facts = comm::all_gather(std::span<const Facts>(mine.facts), comm);
  const std::vector<std::int64_t> tokens = comm::all_gather(std::span<const std::int64_t>(mine.tokens), comm);
  std::vector<WeightedSequence> out;
  auto at = tokens.begin();
  for (const Facts& f : facts) {
    out.push_back({f.population, f.id, {at, at + T}, f.log_p0, f.log_q, f.log_phi, f.log_weight});
    at += T;
  }
  std::ranges::sort(out, {}, [](const WeightedSequence& s) { return std::tuple(s.population, s.id); });
  return out;
}

/// This rank's particles of a finished sweep.
Packed pack(const smc::Sweep& sweep, std::int64_t population) {
  const smc::Population& p = sweep.particles;
  const auto total = [&](const std::vector<double>& x, std::int64_t i) {
    return std::accumulate(x.begin() + i * p.T, x.begin() + (i + 1) * p.T, 0.0);
  };
  Packed out;
  out.tokens = p.tokens;
  for (std::int64_t i = 0; i < p.size(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    const double log_weight =
        sweep.log_z == log_zero ? log_zero : sweep.log_z + p.log_w[at] - sweep.log_weight_sum;
    out.facts.push_back(
        {population, p.ids[at], total(p.log_p0, i), total(p.log_q, i), sweep.log_phi[at], log_weight});
  }
  return out;
}

/// The one that its weight chooses after so many moves, with the weight of its first population as its own.
WeightedSequence choose(const std::vector<WeightedSequence>& particles, double log_z, std::uint64_t seed,
                        std::int64_t n_moves) {
  std::vector<double> log_w;
  for (const WeightedSequence& s : particles) log_w.push_back(s.log_weight);
  const auto population = static_cast<std::uint64_t>(particles.front().population);
  Philox random(seed, Stream::sample_choice, static_cast<std::uint32_t>(n_moves), population);
  WeightedSequence chosen = particles[weighted_choice(log_w, random.uniform())];
  chosen.log_weight = log_z;
  return chosen;
}

/// What one population gives.
struct Drawn {
  PopulationFacts facts;
  std::vector<WeightedSequence> sequences;
};

/// What a group's first rank has drawn and not yet told the others.
struct Harvest {
  Packed sequences;
  std::vector<PopulationFacts> populations;

  void add(const Drawn& drawn) {
    populations.push_back(drawn.facts);
    for (const WeightedSequence& s : drawn.sequences) sequences.add(s);
  }
  /// Every rank's, after those that were found before. *Collective over world.*
  void move_to(Draws& found, std::int64_t T, const comm::Communicator& world) {
    std::ranges::move(gather(std::exchange(sequences, {}), T, world), std::back_inserter(found.sequences));
    const std::vector<PopulationFacts> mine = std::exchange(populations, {});
    const auto all = comm::all_gather(std::span<const PopulationFacts>(mine), world);
    found.populations.insert(found.populations.end(), all.begin(), all.end());
    std::ranges::sort(found.populations, {}, &PopulationFacts::population);
  }
};

/// Moves a draw on by conditional sweeps; false if one was cut short. *Collective over comm.*
bool move(const smc::Problem& problem, const smc::Proposal& proposal, const DrawOptions& options,
          smc::SweepOptions sweep_options, const comm::Communicator& comm, Drawn& drawn) {
  WeightedSequence& s = drawn.sequences.front();
  const std::uint64_t seed = derive_seed(options.sweep.seed, Stream::move,
                                         first_population + static_cast<std::uint64_t>(s.population));
  for (std::int64_t m = 1; m <= options.moves; ++m) {
    sweep_options.seed = derive_seed(seed, Stream::move, static_cast<std::uint64_t>(m));
    const smc::Sweep sweep = smc::sweep(problem, proposal, sweep_options, comm, s.tokens);
    if (!sweep.is_complete) return false;
    WeightedSequence next = choose(gather(pack(sweep, s.population), options.sweep.length, comm),
                                   s.log_weight, options.sweep.seed, m);
    drawn.facts.n_new += next.tokens == s.tokens ? 0 : 1;
    s = std::move(next);
  }
  return true;
}

/// Population i; nothing if a sweep was cut short. The same on every rank. *Collective over comm.*
std::optional<Drawn> draw_population(const smc::Problem& problem, const smc::Proposal& proposal,
                                     const DrawOptions& options, std::int64_t i, const Interrupt& wish,
                                     const comm::Communicator& comm) {
  const std::int64_t K = options.sweep.particles;
  const bool is_whole = options.from == DrawFrom::population;
  smc::SweepOptions sweep_options = options.sweep;
  if (is_whole) sweep_options.particles = std::min(K, options.count - i * K);
  sweep_options.seed =
      derive_seed(options.sweep.seed, Stream::repeat, first_population + static_cast<std::uint64_t>(i));
  sweep_options.wish = wish;
  const smc::Sweep sweep = smc::sweep(problem, proposal, sweep_options, comm);
  if (!sweep.is_complete) return std::nullopt;
  Drawn out{{i, sweep.log_z, sweep.final_ess}, gather(pack(sweep, i), options.sweep.length, comm)};
  if (is_whole) return out;
  if (sweep.log_z == log_zero) return Drawn{out.facts, {}};
  out.sequences = {choose(out.sequences, sweep.log_z, options.sweep.seed, 0)};
  if (!move(problem, proposal, options, sweep_options, comm, out)) return std::nullopt;
  return out;
}

}  // namespace

std::size_t weighted_choice(std::span<const double> log_w, double u) {
  const double log_sum = log_sum_exp(log_w);
  TWISTOR_CHECK(log_sum != log_zero, ErrorKind::internal, "choosing by weights", "all weights are zero");
  double cumulative = 0;
  std::size_t last = 0;
  for (std::size_t i = 0; i < log_w.size(); ++i) {
    if (log_w[i] == log_zero) continue;
    cumulative += std::exp(log_w[i] - log_sum);
    last = i;
    if (u < cumulative) break;
  }
  return last;  // rounding may leave a sliver of (0, 1) above the sum: it belongs to the last one
}

std::int64_t DrawOptions::n_populations() const {
  return from == DrawFrom::population ? (count + sweep.particles - 1) / sweep.particles : count;
}

void require_some(const Draws& draws) {
  TWISTOR_CHECK(draws.n_dead() < draws.n_done(), ErrorKind::data, "drawing sequences",
                fmt::format("phi was 0 for every particle of {} populations", draws.n_done()),
                "train the twist longer, raise smc.particles, set a target.log_floor, or ask score-text "
                "whether the potential sees what you mean");
}

std::int64_t Draws::n_dead() const {
  return std::ranges::count(populations, log_zero, &PopulationFacts::log_z);
}

double Draws::mean_final_ess() const {
  double mean = 0;
  for (const PopulationFacts& p : populations) mean += p.final_ess / static_cast<double>(n_done());
  return mean;
}

std::int64_t Draws::n_new() const {
  std::int64_t n = 0;
  for (const PopulationFacts& p : populations) n += p.n_new;
  return n;
}

// How many populations and sequences, T, and then these. Ids and tokens are exact in doubles.
std::vector<double> to_numbers(const Draws& draws) {
  const std::size_t T = draws.sequences.empty() ? 0 : draws.sequences.front().tokens.size();
  std::vector<double> out{static_cast<double>(draws.populations.size()),
                          static_cast<double>(draws.sequences.size()), static_cast<double>(T)};
  for (const PopulationFacts& p : draws.populations)
    out.insert(out.end(), {p.log_z, p.final_ess, static_cast<double>(p.n_new)});
  for (const WeightedSequence& s : draws.sequences) {
    out.insert(out.end(), {static_cast<double>(s.population), static_cast<double>(s.id), s.log_p0, s.log_q,
                           s.log_phi, s.log_weight});
    for (const std::int64_t token : s.tokens) out.push_back(static_cast<double>(token));
  }
  return out;
}

Draws draws_from_numbers(std::span<const double> x) {
  Draws out;
  if (x.empty()) return out;
  TWISTOR_CHECK(x.size() >= 3, ErrorKind::data, "resuming a sampling", "what was kept of it is cut short",
                "remove samples.partial.h5");
  const auto n_populations = static_cast<std::size_t>(x[0]), n = static_cast<std::size_t>(x[1]),
             T = static_cast<std::size_t>(x[2]);
  TWISTOR_CHECK(x.size() == 3 + 3 * n_populations + n * (6 + T), ErrorKind::data, "resuming a sampling",
                "what was kept of it has another size", "remove samples.partial.h5");
  auto at = x.begin() + 3;
  for (std::size_t i = 0; i < n_populations; ++i, at += 3)
    out.populations.push_back({static_cast<std::int64_t>(i), at[0], at[1], static_cast<std::int64_t>(at[2])});
  for (std::size_t i = 0; i < n; ++i) {
    WeightedSequence s{
        static_cast<std::int64_t>(at[0]), static_cast<std::int64_t>(at[1]), {}, at[2], at[3], at[4], at[5]};
    at += 6;
    for (std::size_t t = 0; t < T; ++t) s.tokens.push_back(static_cast<std::int64_t>(*at++));
    out.sequences.push_back(std::move(s));
  }
  return out;
}

Draws draw_sequences(const smc::Problem& problem, const smc::Proposal& proposal, const DrawOptions& options,
                     const comm::Communicator& world, const comm::Groups& groups, Draws found,
                     const Steering& steering) {
  TWISTOR_CHECK(options.moves == 0 || options.from == DrawFrom::draws, ErrorKind::config, "drawing sequences",
                "sample.moves goes with single draws, and sample.from is population",
                "set sample.from = draws, or sample.moves = 0");
  const std::int64_t n = options.n_populations();
  Harvest mine;
  Stopwatch since_save;
  for (std::int64_t first = found.n_done(); first < n; first += groups.n_groups) {
    steering.observe("samples", first, n);
    const std::int64_t i = first + groups.group_index;
    std::optional<Drawn> drawn;  // the last round may leave some groups without work
    if (i < n) drawn = draw_population(problem, proposal, options, i, steering.wish, groups.group);
    if (is_interrupted(steering.interrupt)) break;
    if (drawn && groups.group.rank() == 0) mine.add(*drawn);
    if (!options.save || !comm::broadcast_value(since_save.seconds() >= steering.save_every_s, world))
      continue;
    mine.move_to(found, options.sweep.length, world);
    options.save(found);
    since_save.restart();
  }
  mine.move_to(found, options.sweep.length, world);
  return found;
}

}  // namespace twistor::estimate
