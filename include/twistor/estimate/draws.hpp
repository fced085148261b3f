// SPDX-License-Identifier: Apache-2.0
// Draws from the sampler's approximation of sigma: one particle of each of many populations, or whole ones.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "twistor/base/interrupt.hpp"
#include "twistor/base/names.hpp"
#include "twistor/comm/communicator.hpp"
#include "twistor/smc/sampler.hpp"

namespace twistor::estimate {

/// A particle at the end of its sweep.
struct WeightedSequence {
  std::int64_t population = 0;
  std::int64_t id = 0;               ///< the particle's, within its population
  std::vector<std::int64_t> tokens;  ///< (T)
  double log_p0 = 0, log_q = 0, log_phi = 0;
  /// Properly weighted: E[exp(log_weight) f(s)], summed over a population's sequences, is Z E_sigma[f].
  /// log Z_hat + log W for a whole population's particles, log Z_hat for one that was chosen by W (Naesseth
  /// et al. 2015).
  double log_weight = 0;
};

enum class DrawFrom {
  draws,       ///< one particle of each population, chosen by the final weights: independent draws
  population,  ///< all particles of each population: correlated, with weights
};
constexpr auto names_of(DrawFrom) {
  return std::array{Named{DrawFrom::draws, "draws"}, Named{DrawFrom::population, "population"}};
}

struct Draws;

struct DrawOptions {
  smc::SweepOptions sweep;  ///< seed: the run's; every population derives its own
  std::int64_t count = 1;   ///< sequences wanted; the last whole population is as small as it takes
  DrawFrom from = DrawFrom::draws;
  /// Of each draw: so many conditional sweeps around it, after each of which the final weights choose anew
  /// (particle Gibbs, Andrieu et al. 2010). They leave sigma as it is, so draws come closer to it, and
  /// log_weight stays proper. For draws alone.
  std::int64_t moves = 0;
  /// Given all that is found about every steering.save_every_s, on every rank.
  std::function<void(const Draws&)> save{};
  [[nodiscard]] std::int64_t n_populations() const;
};

struct PopulationFacts {
  std::int64_t population = 0;
  double log_z = 0, final_ess = 0;
  std::int64_t n_new = 0;  ///< moves that ended in another sequence
};

/// The same on every rank.
struct Draws {
  std::vector<WeightedSequence> sequences;  ///< by population, then id
  /// Finished ones, 0, 1, ...: all, unless the work was interrupted.
  std::vector<PopulationFacts> populations;
  [[nodiscard]] std::int64_t n_done() const { return static_cast<std::int64_t>(populations.size()); }
  /// Populations whose weights all vanished: no draw comes from them.
  [[nodiscard]] std::int64_t n_dead() const;
  [[nodiscard]] double mean_final_ess() const;  ///< over populations
  [[nodiscard]] std::int64_t n_new() const;     ///< moves that ended in another sequence
};

/// Throws Error(data) that says what to do if every population is dead. *Local.*
void require_some(const Draws& draws);

/// As numbers, for a file, and back; no numbers are no draws. *Local.* Throws Error(data) if their number is
/// not what the first of them say.
[[nodiscard]] std::vector<double> to_numbers(const Draws& draws);
[[nodiscard]] Draws draws_from_numbers(std::span<const double> numbers);

/// Adds to `found` the populations that it lacks. Groups take turns; the result depends neither on them nor
/// on ranks nor on where the work was interrupted. A sweep that was cut short is thrown away. *Collective
/// over world*, of which groups are parts. Throws Error(config) where whole populations should move.
[[nodiscard]] Draws draw_sequences(const smc::Problem& problem, const smc::Proposal& proposal,
                                   const DrawOptions& options, const comm::Communicator& world,
                                   const comm::Groups& groups, Draws found = {},
                                   const Steering& steering = {});

/// The index i that u in (0, 1) chooses with probability softmax(log_w)_i; never one of zero weight. *Local.*
/// Throws Error(internal) if all weights are zero.
[[nodiscard]] std::size_t weighted_choice(std::span<const double> log_w, double u);

}  // namespace twistor::estimate
