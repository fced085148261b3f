// SPDX-License-Identifier: Apache-2.0
// Counters of all ranks.
#pragma once

#include "twistor/base/counters.hpp"
#include "twistor/comm/communicator.hpp"

namespace twistor::comm {

/// Counters of all ranks, which must have the same names. *Collective over comm*, one reduction for each
/// kind.
[[nodiscard]] Counters all_reduce(Counters mine, const Communicator& comm);

}  // namespace twistor::comm
