// SPDX-License-Identifier: Apache-2.0
// All ranks read the same files themselves; whether they saw the same.
#pragma once

#include <string_view>

#include "twistor/comm/communicator.hpp"
#include "twistor/run/config.hpp"

namespace twistor::run {

/// Throws Error(data) on all ranks alike if some rank's `read` is not that of rank 0: a file system that
/// shows one rank an old file would give numbers of two targets, or ranks that wait for one another for ever.
/// `what` is for the message: "another " + what. *Collective over world.*
void require_same(std::string_view what, std::string_view read, const comm::Communicator& world);

/// The world, whose ranks have that configuration: the first thing that they agree on. *Collective over the
/// world.* Throws as require_same().
[[nodiscard]] comm::Communicator world_with(const Config& config);

}  // namespace twistor::run
