// SPDX-License-Identifier: Apache-2.0
// The kernel's account of this process.
#include "twistor/base/memory.hpp"

#include <sys/resource.h>

namespace twistor {

std::int64_t peak_memory_bytes() noexcept {
  rusage usage{};
  constexpr std::int64_t kib = 1024;
  return getrusage(RUSAGE_SELF, &usage) == 0 ? kib * usage.ru_maxrss : 0;
}

}  // namespace twistor
