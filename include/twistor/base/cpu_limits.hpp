// SPDX-License-Identifier: Apache-2.0
// How many cores a process may really use: by its affinity, and by the quota of its control group.
#pragma once

#include <filesystem>
#include <optional>

namespace twistor {

/// Cores that the kernel lets this process run on. *Local.*
[[nodiscard]] int n_cores_by_affinity() noexcept;

/// Cores' worth of time that this process's control group and those above it grant (cpu.max, or
/// cpu.cfs_quota_us of version 1), the least of them; nullopt where none limits it or it cannot be told.
/// `root` is "/" but in tests. *Local.*
[[nodiscard]] std::optional<double> cpu_quota(const std::filesystem::path& root = "/");

/// Cores for all ranks of this machine: the affinity's, or fewer by the quota rounded up; at least 1.
[[nodiscard]] int usable_cores(int n_by_affinity, std::optional<double> quota) noexcept;

}  // namespace twistor
