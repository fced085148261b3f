// Loops on the OpenMP threads of the caller whose bodies may throw.
#pragma once

#include <cstdint>
#include <exception>

namespace twistor {

/// body(i) for i in [0, n), on many threads if asked. An exception must not leave an OpenMP region, so the
/// first one waits until all iterations are done and is thrown then. Iterations go to whoever is free.
template <class Body>
void parallel_for(std::int64_t n, [[maybe_unused]] bool is_parallel, Body body) {
  std::exception_ptr error;
#pragma omp parallel for schedule(dynamic) if (is_parallel)
  for (std::int64_t i = 0; i < n; ++i) {
    try {
      body(i);
    } catch (...) {
#pragma omp critical(twistor_parallel_for)
      if (!error) error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace twistor
