// How many threads a rank computes with.
#pragma once

#include <string>

namespace twistor {

/// Gives this rank its share of the machine's usable cores, unless OMP_NUM_THREADS says how many threads each
/// rank has. *Local.*
void share_cores(int n_local_ranks);

/// For the log: "2 threads per rank (2 cores, a CPU quota of 1.5, 1 rank on this machine)". *Local.*
[[nodiscard]] std::string describe_threads(int n_local_ranks);

/// What to warn of where threads outnumber cores and wait by spinning; else empty. *Local.*
[[nodiscard]] std::string thread_warning(int n_local_ranks);

}  // namespace twistor
