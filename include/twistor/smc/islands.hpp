// SPDX-License-Identifier: Apache-2.0
// Islands: m independent populations on one rank in one batch of forward passes, each with its observation.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "twistor/smc/sampler.hpp"

namespace twistor::smc {

/// One of them.
struct Island {
  std::uint64_t seed = 1;
  std::span<const std::int64_t> pinned = {};  ///< (T), or no path
};

/// sweep() of every island by itself, to the bit where a row does not depend on its batch, as on the CPU.
/// *Local.* Island i begins at sequence i of problem.start (ConditionalProblem::together()), has
/// options.particles and its own seed; options.trigger is never or every_step. The counters of all are those
/// of the first. What is said of genealogies stays empty.
[[nodiscard]] std::vector<Sweep> sweep_islands(const Problem& problem, const Proposal& proposal,
                                               const SweepOptions& options, std::span<const Island> islands);

}  // namespace twistor::smc
