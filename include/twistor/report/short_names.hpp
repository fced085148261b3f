// SPDX-License-Identifier: Apache-2.0
// What files are called in tables and in other files.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace twistor::report {

/// The shortest ends of paths, without the last extension, that tell them apart and are not `taken`:
/// "a/checkpoint" and "b/checkpoint". Characters other than letters, digits, '-', '_' and '/' become '_'.
/// Where whole paths do not suffice, numbers follow. *Local.*
[[nodiscard]] std::vector<std::string> short_names(std::span<const std::string> paths,
                                                   std::span<const std::string> taken);

}  // namespace twistor::report
