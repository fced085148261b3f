// SPDX-License-Identifier: Apache-2.0
// The kernel's account of this process and its machine.
#include "twistor/base/memory.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>

#include "control_groups.hpp"

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace twistor {
namespace {

namespace fs = std::filesystem;

/// The number that follows a word in a file such as meminfo or memory.stat.
std::optional<std::int64_t> number_after(const fs::path& path, std::string_view word) {
  std::ifstream file(path);
  for (std::string found; file >> found;)
    if (std::int64_t number = 0; found == word && file >> number) return number;
  return std::nullopt;
}

std::optional<std::int64_t> first_number(const fs::path& path) {
  std::ifstream file(path);
  std::int64_t number = 0;
  return file >> number ? std::optional(number) : std::nullopt;  // "max" is none
}

/// Version 1 writes no limit as a number that no machine has.
constexpr std::int64_t no_limit = std::int64_t{1} << 60;

std::optional<MainMemory> granted(const ControlGroup& group) {
  const bool is_two = group.version == 2;
  const auto limit = first_number(group.folder / (is_two ? "memory.max" : "memory.limit_in_bytes"));
  const auto used = first_number(group.folder / (is_two ? "memory.current" : "memory.usage_in_bytes"));
  if (!limit || !used || *limit >= no_limit) return std::nullopt;
  const std::int64_t of_files =
      number_after(group.folder / "memory.stat", is_two ? "inactive_file" : "total_inactive_file")
          .value_or(0);
  return MainMemory{std::max<std::int64_t>(0, *limit - *used + of_files), *limit};
}

}  // namespace

std::int64_t peak_memory_bytes() noexcept {
  rusage usage{};
  constexpr std::int64_t kib = 1024;
  return getrusage(RUSAGE_SELF, &usage) == 0 ? kib * usage.ru_maxrss : 0;
}

void keep_freed_memory() noexcept {
#ifdef __GLIBC__
  for (const char* const name : {"GLIBC_TUNABLES", "MALLOC_TRIM_THRESHOLD_"})
    if (std::getenv(name) != nullptr) return;
  (void)mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the most that it takes
  (void)mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
#endif
}

std::optional<MainMemory> main_memory(const fs::path& root) {
  constexpr std::int64_t kib = 1024;
  const auto available = number_after(root / "proc/meminfo", "MemAvailable:"),
             total = number_after(root / "proc/meminfo", "MemTotal:");
  if (!available || !total) return std::nullopt;
  MainMemory out{kib * *available, kib * *total};
  for (const ControlGroup& group : control_groups(root, "memory"))
    if (const auto part = granted(group)) {
      out.free_bytes = std::min(out.free_bytes, part->free_bytes);
      out.total_bytes = std::min(out.total_bytes, part->total_bytes);
    }
  return out;
}

}  // namespace twistor
