// SPDX-License-Identifier: Apache-2.0
// What a run wrote as JSON, read again. Private to the report room.
#pragma once

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace twistor::report {

/// A whole file. Throws Error(no_input).
[[nodiscard]] std::string contents_of(const std::filesystem::path& path);

/// The value at a way of member names; null if there is none.
[[nodiscard]] const nlohmann::json& at(const nlohmann::json& json, std::initializer_list<const char*> way);

/// A text as it is, anything else as JSON.
[[nodiscard]] std::string text_of(const nlohmann::json& value);

/// "17 B", "1.2 kB", "3.4 MB", "5.6 GB".
[[nodiscard]] std::string bytes_text(double bytes);

/// summary.json of a run's folder. Throws Error(no_input) if there is none, Error(data) if it is no JSON
/// object.
[[nodiscard]] nlohmann::json read_summary_json(const std::filesystem::path& folder);

/// The lines of a file of JSON objects, and how many are none (a kill may cut the last one short).
struct Lines {
  std::vector<nlohmann::json> objects;
  std::int64_t n_bad = 0;
};
[[nodiscard]] Lines read_lines(const std::string& text);

/// A lower and an upper bound of log Z, NaN where unknown.
struct Bounds {
  double low = std::numeric_limits<double>::quiet_NaN(), high = std::numeric_limits<double>::quiet_NaN(),
         se = std::numeric_limits<double>::quiet_NaN();  // se of the difference
  [[nodiscard]] double gap() const { return high - low; }
  /// A gap that is negative by chance is no better than a positive one.
  [[nodiscard]] double width() const { return std::abs(gap()) + (std::isnan(se) ? 0 : se); }
};
/// The tighter of the two pairs of a summary's evaluation, as the evaluation chooses; without upper bounds
/// the larger lower bound.
[[nodiscard]] Bounds best_bounds(const nlohmann::json& evaluation);

/// How well log Z is known: what the run itself says, or else what follows from its bounds.
[[nodiscard]] std::string verdict_of(const nlohmann::json& evaluation);

/// K of the evaluation that the summary reports: that of smc.particles, or the last of a sweep. NaN if it
/// has none.
[[nodiscard]] double particles_of(const nlohmann::json& summary);

}  // namespace twistor::report
