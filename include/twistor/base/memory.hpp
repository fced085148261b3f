// SPDX-License-Identifier: Apache-2.0
// How much memory a process has held, and how much more it may have.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace twistor {

/// The most bytes that this process has held in memory at one time. Pages that it shares with others count
/// whole for each that has touched them: weights in a node's shared memory, mapped files. *Local.*
[[nodiscard]] std::int64_t peak_memory_bytes() noexcept;

/// Lets this process keep up to 2 GiB that it has freed, for what it allocates next: a gradient comes and
/// goes with every shard, and pages that go back to the kernel are filled with zeros each time they come
/// again. Not where the environment has a word on it (GLIBC_TUNABLES, MALLOC_TRIM_THRESHOLD_), nor without
/// glibc. Blocks above 32 MiB go back all the same. *Local.*
void keep_freed_memory() noexcept;

struct MainMemory {
  std::int64_t free_bytes = 0, total_bytes = 0;
  friend bool operator==(const MainMemory&, const MainMemory&) = default;
};

/// Of this machine, or of this process's control group where that grants less (memory.max, or
/// memory.limit_in_bytes of version 1), for all processes in it together. What the kernel would give back, as
/// pages of files, counts as free. nullopt where it cannot be told. `root` is "/" but in tests. *Local.*
[[nodiscard]] std::optional<MainMemory> main_memory(const std::filesystem::path& root = "/");

}  // namespace twistor
