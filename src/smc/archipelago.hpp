// SPDX-License-Identifier: Apache-2.0
// The islands of one population, as the rank that hosts them knows them (Verge, Dubarry, Del Moral and
// Moulines 2015: the island particle model).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "twistor/base/reproducible_sum.hpp"
#include "twistor/smc/options.hpp"
#include "twistor/smc/population.hpp"
#include "twistor/smc/scheme.hpp"

namespace twistor::smc {

/// An island is a part of the population that lies whole on one rank and resamples by itself: its offspring
/// begin with its mean weight, so that it keeps its share in the whole. What it does depends on its own
/// particles alone, so the bits are those of any number of ranks. *Local.*
class Archipelago {
 public:
  /// How an island of those weights resamples; `pinned` is the place of the pinned path among its particles,
  /// -1 if that lives elsewhere. // log_w (n), in the order of ids
  using Draw =
      std::function<Resampled(std::int32_t island, std::span<const double> log_w, std::int64_t pinned)>;

  /// island_of, // (k) of this rank's particles
  explicit Archipelago(std::span<const std::int32_t> island_of) { settle(island_of); }
  /// Particles have moved.
  void settle(std::span<const std::int32_t> island_of);

  /// Sums over the particles, and over the islands as if each were one particle that weighs what all of its
  /// own do. // log_w (k)
  std::array<WeightSums, 2> add_up(std::span<const double> log_w);

  /// After add_up(): those islands resample whose effective sample size asks. `pinned_id`, where it lives
  /// here, becomes the id that the pinned path has now; -1: there is none.
  struct Outcome {
    std::int64_t n_resampled = 0;              ///< islands
    std::int64_t n_childless = 0;              ///< particles
    std::vector<std::int64_t> ancestor_ids{};  ///< (k) whom each particle descends from
  };
  Outcome resample(Population& p, std::int64_t& pinned_id, const SweepOptions& options, const Draw& draw);

 private:
  struct Island {
    std::int32_t number = 0;
    std::vector<std::int64_t> places{};  // of its particles on this rank, so in the order of ids
    WeightSums sums{};
  };
  std::vector<Island> islands_;
};

}  // namespace twistor::smc
