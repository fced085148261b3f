// Threads of a rank.
#include "twistor/base/threads.hpp"

#include <fmt/format.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include <algorithm>
#include <cstdlib>

#include "twistor/base/cpu_limits.hpp"

namespace twistor {
namespace {

int n_threads() {
#ifdef _OPENMP
  return omp_get_max_threads();
#else
  return 1;
#endif
}

int n_cores() {
  return usable_cores(n_cores_by_affinity(), cpu_quota());
}

}  // namespace

void share_cores([[maybe_unused]] int n_local_ranks) {
  if (std::getenv("OMP_NUM_THREADS") != nullptr) return;
#ifdef _OPENMP
  // A task that is bound to cores of its own sees those alone; sharing them out again is then no use.
  omp_set_num_threads(std::clamp(n_cores() / n_local_ranks, 1, n_threads()));
#endif
}

std::string describe_threads(int n_local_ranks) {
  const auto quota = cpu_quota();
  const int cores = n_cores_by_affinity(), threads = n_threads();
  return fmt::format("{} thread{} per rank ({} core{}{}, {} rank{} on this machine)", threads,
                     threads == 1 ? "" : "s", cores, cores == 1 ? "" : "s",
                     quota ? fmt::format(", a CPU quota of {:.3g}", *quota) : "", n_local_ranks,
                     n_local_ranks == 1 ? "" : "s");
}

std::string thread_warning(int n_local_ranks) {
  const int cores = n_cores(), threads = n_threads();
  if (threads <= 1 || n_local_ranks * threads <= cores) return {};
  for (const char* name : {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"})
    if (std::getenv(name) != nullptr) return {};
  return fmt::format(
      "{} rank{} of {} threads share {} cores, and threads that wait spin: set OMP_WAIT_POLICY=passive "
      "(launch/mpirun.sh does), or a smaller OMP_NUM_THREADS",
      n_local_ranks, n_local_ranks == 1 ? "" : "s", threads, cores);
}

}  // namespace twistor
