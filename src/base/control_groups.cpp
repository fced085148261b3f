// SPDX-License-Identifier: Apache-2.0
// Where the kernel says which groups a process is in.
#include "control_groups.hpp"

#include <algorithm>
#include <fstream>
#include <string>

#include "twistor/base/strings.hpp"

namespace twistor {

namespace fs = std::filesystem;

std::vector<ControlGroup> control_groups(const fs::path& root, std::string_view controller) {
  std::ifstream groups(root / "proc/self/cgroup");
  const fs::path mounts = root / "sys/fs/cgroup";
  std::vector<ControlGroup> out;
  const auto add = [&](fs::path folder, const std::string& group, int version) {
    out.push_back({folder, version});
    for (const fs::path& part : fs::path(group).relative_path()) out.push_back({folder /= part, version});
  };
  // "0::/path" for version 2, "4:cpu,cpuacct:/path" for version 1.
  for (std::string line; std::getline(groups, line);) {
    const std::vector<std::string_view> parts = split(line, ':');
    if (parts.size() < 3) continue;
    const std::string group(parts[2]);
    if (parts[1].empty()) add(mounts, group, 2);
    if (std::ranges::count(split(parts[1], ','), controller) == 0) continue;
    add(mounts / controller, group, 1);
    if (parts[1] != controller) add(mounts / parts[1], group, 1);
  }
  return out;
}

}  // namespace twistor
