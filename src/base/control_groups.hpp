// SPDX-License-Identifier: Apache-2.0
// The folders in which the kernel limits what this process may use.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

namespace twistor {

struct ControlGroup {
  std::filesystem::path folder;
  int version = 2;
};

/// Those that may limit this process for a controller ("cpu", "memory"): its own groups and all above them.
/// In a container the path of a group may be that of the host: then nothing is there, and what counts is the
/// mount's own files. `root` is "/" but in tests.
[[nodiscard]] std::vector<ControlGroup> control_groups(const std::filesystem::path& root,
                                                       std::string_view controller);

}  // namespace twistor
