// SPDX-License-Identifier: Apache-2.0
// What the sampler would have computed on its way to given sequences, by one pass over them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "twistor/smc/proposal.hpp"
#include "twistor/smc/sampler.hpp"

namespace twistor::smc {

/// Hidden states before each token of given sequences, (n, T, D): what log q and the twist are read from.
/// *Local.* tokens: (n * T) row-major. Where the problem has the starts of m islands, n / m continue each.
[[nodiscard]] at::Tensor hidden_states(const Problem& problem, std::int64_t length,
                                       std::span<const std::int64_t> tokens);

/// log q, log p0, log psi of given sequences, (n * T) each, by the teacher-forced pass. *Local.*
struct ForcedPass {
  std::vector<double> log_q, log_p0, log_psi;
};
[[nodiscard]] ForcedPass forced_pass(const Problem& problem, const Proposal& proposal, std::int64_t length,
                                     std::span<const std::int64_t> tokens);

}  // namespace twistor::smc
