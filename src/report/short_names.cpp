// SPDX-License-Identifier: Apache-2.0
// Ends of paths.
#include "twistor/report/short_names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <filesystem>
#include <set>

namespace twistor::report {
namespace {

/// The last n parts of a path.
std::string end_of(const std::filesystem::path& path, std::size_t n) {
  std::vector<std::string> parts;
  for (const auto& part : std::filesystem::path(path).replace_extension().lexically_normal())
    if (part != path.root_path() && !part.empty()) parts.push_back(part.string());
  std::string out;
  for (std::size_t i = parts.size() - std::min(n, parts.size()); i < parts.size(); ++i)
    out += (out.empty() ? "" : "/") + parts[i];
  std::ranges::replace_if(
      out, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '-' && c != '/'; },
      '_');
  return out;
}

}  // namespace

std::vector<std::string> short_names(std::span<const std::string> paths, std::span<const std::string> taken) {
  constexpr std::size_t most = 16;  // parts of a path that are tried
  std::vector<std::string> names;
  for (std::size_t n = 1; n <= most; ++n) {
    names.clear();
    for (const std::string& path : paths) names.push_back(end_of(path, n));
    std::set<std::string> distinct(taken.begin(), taken.end());
    if (std::ranges::all_of(names, [&](const auto& name) { return distinct.insert(name).second; }))
      return names;
  }
  for (std::size_t i = 0; i < names.size(); ++i) names[i] += fmt::format("_{}", i + 1);
  return names;
}

}  // namespace twistor::report
