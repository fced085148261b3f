// SPDX-License-Identifier: Apache-2.0
// Which job of a batch system this is and where its ranks run: for logs and summaries; no number depends on
// it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "twistor/comm/communicator.hpp"

namespace twistor::comm {

struct JobPlace {
  std::string id;  ///< of the job; empty: no batch system gave it one
  /// Ranks by host, in the order of the hosts' first ranks.
  std::vector<std::pair<std::string, std::int64_t>> hosts;
};

/// *Collective over world.* The same on every rank, with the first rank's job.
[[nodiscard]] JobPlace job_place(const Communicator& world);

/// The job that the environment names: that of Slurm, PBS, LSF or Grid Engine; else empty. *Local.*
[[nodiscard]] std::string job_id();

/// "job 17, 16 ranks: n1 (8), n2 (8)". *Local.*
[[nodiscard]] std::string describe(const JobPlace& place);

}  // namespace twistor::comm
