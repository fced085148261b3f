// SPDX-License-Identifier: Apache-2.0
// Parts of report.html, each HTML of its own. Private to the report room.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace twistor::report {

/// A number of the summary, rounded for people by a format of fmt, and in full for machines; a dash for null.
[[nodiscard]] std::string html_number(const nlohmann::json& value, const char* form = "{:.4f}");

/// One column of the table: an evaluation under its name.
struct Column {
  std::string name;
  const nlohmann::json* evaluation;
};
/// Base model, before and after learning, policies; those that there are.
[[nodiscard]] std::vector<Column> columns_of(const nlohmann::json& summary);

/// What to believe: log Z, how far to trust the sampler, the probability of an event.
[[nodiscard]] std::string html_verdict(const nlohmann::json& summary);
/// All evaluations side by side.
[[nodiscard]] std::string html_evaluations(const nlohmann::json& summary);

/// Bounds, divergences and losses over updates, by metrics.jsonl. Empty without any.
[[nodiscard]] std::string learning_charts(const nlohmann::json& summary,
                                          const std::filesystem::path& metrics);
/// Effective sample size and particles with offspring, by step.
[[nodiscard]] std::string population_charts(const nlohmann::json& summary);
/// Seconds by stage.
[[nodiscard]] std::string cost_charts(const nlohmann::json& summary);

}  // namespace twistor::report
