// SPDX-License-Identifier: Apache-2.0
// Running all estimators on one proposal, or what an earlier run of them still lacks.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "twistor/base/interrupt.hpp"
#include "twistor/comm/communicator.hpp"
#include "twistor/estimate/evaluation.hpp"
#include "twistor/exact/source.hpp"
#include "twistor/smc/sampler.hpp"

namespace twistor::estimate {

struct EvaluationOptions {
  smc::SweepOptions sweep;      ///< with the run's seed
  std::int64_t repeats = 10;    ///< of each estimator of log Z
  std::int64_t samples = 1000;  ///< of q, and of sigma
  KnownTarget known{};          ///< its n_exact is exact.n in the end
  bool enumerate = false;       ///< go through all V^T sequences of q too; needs known.exact_log_z
  Steering steering{};          ///< looked at in every step of a sweep and between pieces of work
  /// Given all that is found, every so often and after an interrupt; on every rank.
  std::function<void(const Findings&)> save{};
  double save_every_s = 10;
};

/// Adds to `found` the runs that it lacks and makes the estimates from all of them; nothing if it was
/// interrupted. The numbers depend neither on ranks and groups nor on where work was interrupted; seconds and
/// counters are those of this call. *Collective over world*, of which groups are parts.
[[nodiscard]] std::optional<Evaluation> evaluate(const smc::Problem& problem, const smc::Proposal& proposal,
                                                 const EvaluationOptions& options, const exact::Source& exact,
                                                 const comm::Communicator& world, const comm::Groups& groups,
                                                 Findings& found);

}  // namespace twistor::estimate
