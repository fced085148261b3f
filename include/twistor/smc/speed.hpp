// SPDX-License-Identifier: Apache-2.0
// How fast a job sweeps, measured before it begins.
#pragma once

#include <optional>

#include "twistor/comm/communicator.hpp"
#include "twistor/smc/proposal.hpp"
#include "twistor/smc/sampler.hpp"

namespace twistor::smc {

/// All ranks together.
struct Speed {
  double tokens_per_s = 0;
  std::optional<double> phi_s;  ///< of one sequence, with all ranks at work; empty: not timed
};

/// A sweep of few particles over few tokens, again with more where that took no time to speak of, and phi of
/// its sequences if asked. *Collective over world*, of which groups are parts.
[[nodiscard]] Speed measure_speed(const Problem& problem, const Proposal& proposal,
                                  const SweepOptions& options, bool is_phi_timed,
                                  const comm::Communicator& world, const comm::Groups& groups);

}  // namespace twistor::smc
