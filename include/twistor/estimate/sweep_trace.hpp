// SPDX-License-Identifier: Apache-2.0
// One small sweep, particle by particle and token by token, for people to look at.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "twistor/base/interrupt.hpp"
#include "twistor/comm/communicator.hpp"
#include "twistor/smc/sampler.hpp"

namespace twistor::estimate {

/// Particles in the order of their ids; (K, T) arrays are row-major and follow the line of each to its
/// founder.
struct SweepTrace {
  std::int64_t K = 0, T = 0;
  std::vector<std::int64_t> tokens;   ///< (K, T)
  std::vector<double> log_psi;        ///< (K, T) log psi_t(s_{1:t})
  std::vector<double> log_increment;  ///< (K, T) log w_t; at T with phi in the place of psi_T
  std::vector<double> log_phi;        ///< (K)
  std::vector<double> log_weight;     ///< (K) log of the final weights' shares; -inf if all of them vanish
  std::vector<smc::Resampling> resamplings;
};

/// More particles than this make no picture.
inline constexpr std::int64_t most_traced = 64;

/// A sweep like those of the bounds with at most `most_traced` particles and random numbers of its own;
/// nothing if a rank wished to stop. The same on every rank and for any number of them. *Collective over
/// world.*
[[nodiscard]] std::optional<SweepTrace> trace_sweep(const smc::Problem& problem,
                                                    const smc::Proposal& proposal, smc::SweepOptions options,
                                                    const Interrupt& wish, const comm::Communicator& world);

}  // namespace twistor::estimate
