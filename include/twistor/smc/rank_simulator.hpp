// SPDX-License-Identifier: Apache-2.0
// What resampling moves between any number of ranks, counted on one: no model, no messages, the sampler's own
// schemes and census.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "twistor/smc/census.hpp"
#include "twistor/smc/options.hpp"
#include "twistor/smc/sampler.hpp"

namespace twistor::smc {

/// What a particle takes along when it moves to another rank.
struct TravelBytes {
  std::int64_t block = 0;  ///< keys and values of a block of the cache
  std::int64_t row = 0;    ///< weights, hidden state, scores if they travel, and the length of the blocks
  std::int64_t step = 0;   ///< a token that it has drawn
};
/// Those of exchange(). *Local*: one pass of the heads over the prompt's last token. `problem` must have its
/// start.
[[nodiscard]] TravelBytes travel_bytes(const Problem& problem, const Proposal& proposal, Order order);

/// Sums over the resamplings of one sweep, and all ranks.
struct RankCounts {
  std::int64_t resamplings = 0;
  std::int64_t moved = 0;          ///< children that change rank
  std::int64_t copies = 0;         ///< pairs of an ancestor and a rank that it is sent to
  std::int64_t messages = 0;       ///< pairs of ranks
  std::int64_t bytes = 0;          ///< sent
  std::int64_t busiest_bytes = 0;  ///< of the rank that sends or receives most, summed over the resamplings
  std::int64_t busiest_messages = 0;
  std::int64_t peak_bytes = 0;  ///< the most that a rank sends or receives at once
  std::int64_t told_bytes = 0;  ///< by the first rank, of who is whose ancestor and lives where
  double work_s = 0;            ///< that the first rank does on the whole population, the others waiting
};

/// Where K particles live on P ranks, resampling after resampling. A value; *local*. O(K) memory.
class RankSimulator {
 public:
  RankSimulator(std::int64_t K, int n_ranks, std::int64_t prompt_tokens, TravelBytes bytes);

  /// The population has been resampled when its particles had drawn `n_drawn` tokens and their caches held
  /// `cache_tokens`, the prompt's among them.
  void resampled(const Resampled& next, std::int64_t n_drawn, std::int64_t cache_tokens);
  /// The caches have grown to so many tokens, the prompt's among them.
  void grown_to(std::int64_t cache_tokens) { census_.grown_to(cache_tokens); }

  [[nodiscard]] const RankCounts& counts() const { return counts_; }
  [[nodiscard]] RankCounts& counts() { return counts_; }

 private:
  TravelBytes bytes_;
  Census census_;
  RankCounts counts_;
};

/// A sweep in numbers: how its weights spread.
struct Spread {
  /// Of the log weights that are added before each decision about resampling, as a standard deviation.
  std::vector<double> sd;
};
/// From a sweep of n particles, as if weights were log-normal: ESS / n = exp(-variance) since the last
/// resampling.
[[nodiscard]] Spread spread_of(std::span<const double> ess, std::int64_t n, Trigger trigger,
                               double ess_threshold);

/// A sweep of `options` on n_ranks ranks: weights are drawn (Stream::test), ancestors come from them by
/// the sampler's scheme. `is_before_draw`: resampling comes before the draw of a token. *Local.*
[[nodiscard]] RankCounts simulate_sweep(const SweepOptions& options, int n_ranks, std::int64_t prompt_tokens,
                                        TravelBytes bytes, const Spread& spread, bool is_before_draw);

/// Bytes of what the first of several ranks keeps about all K particles while it resamples, with the names of
/// `n_levels` full blocks of the cache.
[[nodiscard]] std::int64_t population_bytes(std::int64_t K, std::int64_t n_levels);

}  // namespace twistor::smc
