// SPDX-License-Identifier: Apache-2.0
// Divergences of a proposal from an enumerated target: sums over all sequences, no samples.
#pragma once

#include <cstdint>
#include <optional>

#include "twistor/base/interrupt.hpp"
#include "twistor/comm/communicator.hpp"
#include "twistor/estimate/findings.hpp"
#include "twistor/smc/sampler.hpp"

namespace twistor::estimate {

/// Goes through all V^T sequences with p0 > 0, one forward per prefix of fewer than T tokens, and adds up
/// what q and sigma say of them. Ranks share the first tokens; the sums are reproducible, so their bits do
/// not depend on ranks. `log_z` is the exact one. Nothing if it was interrupted. *Collective over world.*
[[nodiscard]] std::optional<ExactDivergences> enumerate_divergences(const smc::Problem& problem,
                                                                    const smc::Proposal& proposal,
                                                                    std::int64_t length, double log_z,
                                                                    const comm::Communicator& world,
                                                                    const Steering& steering = {});

}  // namespace twistor::estimate
