// SPDX-License-Identifier: Apache-2.0
// Runs of the estimators: repeats of the samplers for two-sided bounds on log Z, samples for divergences.
#pragma once

#include <cstdint>

#include "twistor/base/interrupt.hpp"
#include "twistor/comm/communicator.hpp"
#include "twistor/estimate/findings.hpp"
#include "twistor/exact/source.hpp"
#include "twistor/smc/sampler.hpp"

namespace twistor::estimate {

struct BoundOptions {
  smc::SweepOptions sweep;    ///< seed: the run's; each repeat derives its own
  std::int64_t repeats = 10;  ///< independent runs of each estimator
  Steering steering{};        ///< looked at in every step and after each sweep
};

/// Adds to `found` the repeats that it lacks, each of them one run of every estimator of log Z. Lower bounds
/// have E <= log Z, upper bounds E >= log Z (Zhao et al. 2024, Sec. 5 and Prop. 5.1). Groups take turns,
/// repeat i is group i mod n_groups's, and the numbers do not depend on that. Upper run i pins exact sample i
/// mod n. `counters` are this rank's. False if it was interrupted before all were there. *Collective over
/// world*, of which groups are parts.
[[nodiscard]] bool run_repeats(const smc::Problem& problem, const smc::Proposal& proposal,
                               const BoundOptions& options, const exact::Source& exact,
                               const comm::Communicator& world, const comm::Groups& groups, Findings& found,
                               smc::SweepCounters& counters);

struct SampleOptions {
  std::int64_t length = 1;  ///< T
  std::int64_t n = 1;       ///< samples of q, and of sigma as far as there are so many
  std::uint64_t seed = 1;   ///< the run's
  Steering steering{};      ///< looked at in every step and before each 256 samples
};

/// Adds to `found` the samples that it lacks, of the proposal without resampling and of sigma, spread over
/// all ranks. False if it was interrupted before all were there. *Collective over world.*
[[nodiscard]] bool run_samples(const smc::Problem& problem, const smc::Proposal& proposal,
                               const SampleOptions& options, const exact::Source& exact,
                               const comm::Communicator& world, Findings& found);

}  // namespace twistor::estimate
