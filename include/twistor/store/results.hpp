// SPDX-License-Identifier: Apache-2.0
// What a run found out: arrays over repeats, single numbers, and the configuration that led to them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "twistor/store/archive.hpp"

namespace twistor::store {

/// Names may be paths, for instance "before/smc_lower/log_z_hat". Arrays over repeats have the repeat as
/// first index.
struct Results {
  std::string config_text;
  std::map<std::string, Dataset> arrays;
  std::map<std::string, double> numbers;         ///< estimates and seconds
  std::map<std::string, std::int64_t> counters;  ///< what was counted
  friend bool operator==(const Results&, const Results&) = default;
};

/// *Local*: one rank calls it. Throws Error(io).
void write_results(const std::filesystem::path& path, const Results& results,
                   const WriteOptions& options = {1, true});

/// *Local.* Throws Error(no_input) if missing, Error(data) if damaged.
[[nodiscard]] Results load_results(const std::filesystem::path& path);

}  // namespace twistor::store
