// SPDX-License-Identifier: Apache-2.0
// The kernel's files about limits on processor time.
#include "twistor/base/cpu_limits.hpp"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "control_groups.hpp"

namespace twistor {
namespace {

namespace fs = std::filesystem;

std::optional<double> least(std::optional<double> a, std::optional<double> b) {
  return a && b ? std::optional(std::min(*a, *b)) : a ? a : b;
}

std::optional<double> share(double quota, double period) {
  return quota > 0 && period > 0 ? std::optional(quota / period) : std::nullopt;
}

/// "150000 100000", or "max 100000" for no limit.
std::optional<double> quota_v2(const fs::path& folder) {
  std::ifstream file(folder / "cpu.max");
  double quota = 0, period = 0;
  return file >> quota >> period ? share(quota, period) : std::nullopt;
}

std::optional<double> quota_v1(const fs::path& folder) {
  std::ifstream quota_file(folder / "cpu.cfs_quota_us"), period_file(folder / "cpu.cfs_period_us");
  double quota = 0, period = 0;
  return quota_file >> quota && period_file >> period ? share(quota, period) : std::nullopt;
}

}  // namespace

int n_cores_by_affinity() noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  return ::sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

std::optional<double> cpu_quota(const fs::path& root) {
  std::optional<double> out;
  for (const ControlGroup& group : control_groups(root, "cpu"))
    out = least(out, group.version == 2 ? quota_v2(group.folder) : quota_v1(group.folder));
  return out;
}

int usable_cores(int n_by_affinity, std::optional<double> quota) noexcept {
  const double most = quota ? std::ceil(*quota) : n_by_affinity;
  return std::max(1, static_cast<int>(std::min<double>(n_by_affinity, most)));
}

}  // namespace twistor
