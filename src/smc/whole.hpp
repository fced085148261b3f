// SPDX-License-Identifier: Apache-2.0
// What the first rank of a group knows of the whole population, and how the others hear of it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "twistor/comm/communicator.hpp"
#include "twistor/smc/census.hpp"
#include "twistor/smc/genealogy.hpp"
#include "twistor/smc/options.hpp"

namespace twistor::smc {

/// How many particles each rank hosts, from the first resampling to the last. // (P)
[[nodiscard]] std::vector<std::int64_t> first_sizes(const SweepOptions& options, int n_ranks);
/// The ids that rank r hosts before the first resampling.
[[nodiscard]] std::vector<std::int64_t> first_ids(std::span<const std::int64_t> sizes, int r);
/// The islands on which those particles are then.
[[nodiscard]] std::vector<std::int32_t> first_islands(const SweepOptions& options,
                                                      std::span<const std::int64_t> ids);

/// On the first rank alone.
struct Whole {
  Census census;
  Genealogy genealogy;
  Whole(const SweepOptions& options, std::int64_t prompt_tokens, int n_ranks);
};

/// Each rank's assignment, from the first, which has all; the others give nothing. *Collective over comm*:
/// point-to-point messages.
[[nodiscard]] Assignment deliver(std::vector<Assignment> all, const comm::Communicator& comm);

}  // namespace twistor::smc
