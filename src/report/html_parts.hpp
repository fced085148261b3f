// SPDX-License-Identifier: Apache-2.0
// Parts of report.html, each HTML of its own. Private to the report room.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "place.hpp"
#include "twistor/store/results.hpp"

namespace twistor::report {

/// A number of a file, rounded for people by a format of fmt, in full for machines, and with the way to it; a
/// dash for null.
[[nodiscard]] std::string html_number(const Place& place, const char* form = "{:.4f}");

/// The same under a text of its own, in other units for instance.
[[nodiscard]] std::string html_number_as(const Place& place, const std::string& text);

/// The same with a class of the style, of a number that is not JSON. Infinities are signs in both.
[[nodiscard]] std::string html_number(double value, const char* form, std::string_view style,
                                      std::string_view from);

/// An estimate with its error, or the bound that is known alone, as in the table on the console; what stands
/// between it and its range.
[[nodiscard]] std::string html_estimate(const Place& estimate, std::string_view before_range = "<br>");

/// One column of the table: an evaluation under its name.
struct Column {
  std::string name;
  Place evaluation;
};
/// Base model, before and after learning, policies; those that there are.
[[nodiscard]] std::vector<Column> columns_of(const nlohmann::json& summary);

/// What to believe: log Z, how far to trust the sampler, the probability of an event.
[[nodiscard]] std::string html_verdict(const nlohmann::json& summary);
/// All evaluations side by side.
[[nodiscard]] std::string html_evaluations(const nlohmann::json& summary);

/// Means over seeds for each K of sweep.*. Empty without any.
[[nodiscard]] std::string html_grid(const nlohmann::json& summary);
/// Bounds and their gap over K, a line for each sampler of each summary, whose names follow those given where
/// there are several summaries. Empty without a sweep of two K or more.
[[nodiscard]] std::string grid_charts(std::span<const std::pair<std::string, nlohmann::json>> summaries);

/// The prompts of prompts.jsonl, the farthest from their targets first, and how all of them are spread. Empty
/// without any.
[[nodiscard]] std::string html_prompts(const std::filesystem::path& file);

/// Bounds, divergences and losses over updates, by metrics.jsonl. Empty without any.
[[nodiscard]] std::string learning_charts(const nlohmann::json& summary,
                                          const std::filesystem::path& metrics);
/// Effective sample size and particles with offspring, by step.
[[nodiscard]] std::string population_charts(const nlohmann::json& summary);
/// How log phi is distributed under the base model, the sampler, and the target.
[[nodiscard]] std::string log_phi_chart(const store::Results& results);
/// What psi foretold at some steps, against what came of it.
[[nodiscard]] std::string calibration_chart(const store::Results& results, std::int64_t length);
/// The lines of one sweep's particles, and its heaviest texts token by token.
[[nodiscard]] std::string sweep_picture(const store::Results& results);
/// Seconds by stage, memory, and what was counted.
[[nodiscard]] std::string html_cost(const nlohmann::json& summary);

}  // namespace twistor::report
