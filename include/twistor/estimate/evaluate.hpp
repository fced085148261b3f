// SPDX-License-Identifier: Apache-2.0
// Running all estimators on one proposal, or what an earlier run of them still lacks.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "twistor/base/interrupt.hpp"
#include "twistor/comm/communicator.hpp"
#include "twistor/estimate/evaluation.hpp"
#include "twistor/estimate/options.hpp"
#include "twistor/exact/source.hpp"
#include "twistor/smc/sampler.hpp"

namespace twistor::estimate {

struct EvaluationOptions {
  smc::SweepOptions sweep;      ///< with the run's seed
  std::int64_t repeats = 10;    ///< of each estimator of log Z
  std::int64_t samples = 1000;  ///< of q, and of sigma
  bool trace = true;            ///< of one more, small sweep: Evaluation::trace
  KnownTarget known{};          ///< its n_exact is exact.n in the end
  bool enumerate = false;       ///< go through all V^T sequences of q too; needs known.exact_log_z
  Steering steering{};          ///< looked at in every step of a sweep and between pieces of work
  /// Given all that is found, every so often and after an interrupt; on every rank.
  std::function<void(const Findings&)> save{};
};

/// As the configuration has them, of sweeps with the run's seed.
[[nodiscard]] EvaluationOptions options_of(const Options& config, const smc::SweepOptions& sweep,
                                           const Steering& steering);

/// What exact samples tell of their target, of which `n_wanted` were asked for, beside a log Z that is given.
[[nodiscard]] KnownTarget known_from(const store::ExactSamples& samples, std::int64_t n_wanted,
                                     double log_phi_bound, std::optional<double> given_log_z);

/// Adds to `found` the runs that it lacks and makes the estimates from all of them; nothing if it was
/// interrupted. The numbers depend neither on ranks and groups nor on where work was interrupted; seconds and
/// counters are those of this call. *Collective over world*, of which groups are parts.
[[nodiscard]] std::optional<Evaluation> evaluate(const smc::Problem& problem, const smc::Proposal& proposal,
                                                 const EvaluationOptions& options, const exact::Source& exact,
                                                 const comm::Communicator& world, const comm::Groups& groups,
                                                 Findings& found);

}  // namespace twistor::estimate
