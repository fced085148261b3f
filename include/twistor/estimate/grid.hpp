// SPDX-License-Identifier: Apache-2.0
// Evaluations of several samplers at several sizes of populations and seeds.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "twistor/base/counters.hpp"
#include "twistor/comm/communicator.hpp"
#include "twistor/estimate/deal.hpp"
#include "twistor/estimate/evaluate.hpp"
#include "twistor/smc/proposal.hpp"

namespace twistor::estimate {

/// What is measured. References must outlive it.
struct Sampler {
  std::string name;  ///< in files
  smc::Problem problem;
  smc::Proposal proposal;
  smc::Trigger trigger = smc::Trigger::ess;  ///< that its sweeps resample by
  std::int64_t update = 0;                   ///< that its twist has seen
};

/// Every K with every seed. // K of point p: particles[p / seeds.size()], its seed: seeds[p % seeds.size()]
struct Grid {
  std::vector<std::int64_t> particles;
  std::vector<std::uint64_t> seeds;
  [[nodiscard]] std::int64_t size() const {
    return static_cast<std::int64_t>(particles.size() * seeds.size());
  }
};
/// The keys' lists; one that is empty is `particles` or `seed` alone. *Local.*
[[nodiscard]] Grid make_grid(const GridOptions& options, std::int64_t particles, std::uint64_t seed);

/// Sequences that the evaluations of one sampler draw or score together. *Local.*
[[nodiscard]] std::int64_t n_sequences(const Grid& grid, const Options& options, std::int64_t n_exact);

struct GridWork {
  /// Of each evaluation, but for K, seed, trigger and the sweep to look at, which there is none of. `save`
  /// here is not called.
  EvaluationOptions each;
  /// Shared out among the seeds, so that these are independent: seed j takes samples j, j + n, ... of n
  /// seeds. Where there are fewer samples than seeds, each seed has them all.
  exact::Source exact;
  /// Given all that is found, as Deal::save.
  std::function<void(const Pieces&)> save{};
};

/// Evaluates all samplers at all points; goes on from `found`. The bounds of one sampler at one point are a
/// piece of work, and so is the enumeration of one q; groups take pieces (deal_out()). q does not depend on
/// K: its samples are measured at the first K and stand at the others too. One log Z for all samplers and K
/// of a seed. Result: // [point][sampler]; the same bits on any number of ranks. Nothing if it was
/// interrupted. `counters` are this rank's. *Collective over world*, of which groups are parts.
[[nodiscard]] std::optional<std::vector<std::vector<Evaluation>>> evaluate_grid(
    const Grid& grid, std::span<const Sampler> samplers, const GridWork& work,
    const comm::Communicator& world, const comm::Groups& groups, Pieces& found, Counters& counters);

/// Pieces of work of that many. *Local.*
[[nodiscard]] std::int64_t n_pieces(const Grid& grid, std::size_t n_samplers, bool is_enumerated);

/// The mean over evaluations of one target and K, one for each seed, whose number is Evaluation::seeds; the
/// evaluation itself where there is one. *Local.*
[[nodiscard]] Evaluation mean_over_seeds(const std::vector<Evaluation>& all);

/// The exponent b of y ~ x^b, by least squares through log x and the log of y's mean over seeds, with the
/// standard error of the jackknife over seeds, whose number is Estimate::n. `y`: // [point][seed]. Points
/// whose mean is not above 0 are left out; seeds for which a y is not finite, too. n = 0 if fewer than two
/// points are left. *Local.* Sizes may be given in any order.
[[nodiscard]] Estimate power_law(std::span<const double> x, const std::vector<std::vector<double>>& y);

}  // namespace twistor::estimate
