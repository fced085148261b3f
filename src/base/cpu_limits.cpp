// SPDX-License-Identifier: Apache-2.0
// The kernel's files about limits on processor time.
#include "twistor/base/cpu_limits.hpp"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>

#include "twistor/base/strings.hpp"

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

/// The least quota from `group` up to the mount. In a container the path may be that of the host: then
/// nothing is there, and what counts is the mount's own files.
template <class Read>
std::optional<double> least_upwards(const fs::path& mount, const std::string& group, Read read) {
  std::optional<double> out = read(mount);
  fs::path folder = mount;
  for (const fs::path& part : fs::path(group).relative_path()) out = least(out, read(folder /= part));
  return out;
}

}  // namespace

int n_cores_by_affinity() noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  return ::sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

std::optional<double> cpu_quota(const fs::path& root) {
  std::ifstream groups(root / "proc/self/cgroup");
  const fs::path mount = root / "sys/fs/cgroup";
  std::optional<double> out;
  // "0::/path" for version 2, "4:cpu,cpuacct:/path" for version 1.
  for (std::string line; std::getline(groups, line);) {
    const std::vector<std::string_view> parts = split(line, ':');
    if (parts.size() < 3) continue;
    const std::string group(parts[2]);
    if (parts[1].empty()) out = least(out, least_upwards(mount, group, quota_v2));
    for (const std::string_view controller : split(parts[1], ','))
      if (controller == "cpu")
        for (const char* name : {"cpu", "cpu,cpuacct"})
          out = least(out, least_upwards(mount / name, group, quota_v1));
  }
  return out;
}

int usable_cores(int n_by_affinity, std::optional<double> quota) noexcept {
  const double most = quota ? std::ceil(*quota) : n_by_affinity;
  return std::max(1, static_cast<int>(std::min<double>(n_by_affinity, most)));
}

}  // namespace twistor
