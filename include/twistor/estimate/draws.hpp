// Draws from the sampler's approximation of sigma: one particle of each of many populations, or whole ones.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

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

struct DrawOptions {
  smc::SweepOptions sweep;  ///< seed: the run's; every population derives its own
  std::int64_t count = 1;   ///< sequences wanted; the last whole population is as small as it takes
  DrawFrom from = DrawFrom::draws;
  /// Called on each rank after each of its group's populations: about how many of all are done, and all.
  std::function<void(std::int64_t done, std::int64_t all)> observe = {};
};

struct Draws {
  std::vector<WeightedSequence> sequences;  ///< by population, then id; the same on every rank
  std::int64_t n_populations = 0;
  std::int64_t n_dead = 0;    ///< populations whose weights all vanished: no draw comes from them
  double mean_final_ess = 0;  ///< over populations
};

/// Runs as many populations as it takes. Groups take turns; the result depends neither on them nor on ranks.
/// *Collective over world*, of which groups are parts.
[[nodiscard]] Draws draw_sequences(const smc::Problem& problem, const smc::Proposal& proposal,
                                   const DrawOptions& options, const comm::Communicator& world,
                                   const comm::Groups& groups);

/// The index i that u in (0, 1) chooses with probability softmax(log_w)_i; never one of zero weight. *Local.*
/// Throws Error(internal) if all weights are zero.
[[nodiscard]] std::size_t weighted_choice(std::span<const double> log_w, double u);

}  // namespace twistor::estimate
