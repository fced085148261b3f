// SPDX-License-Identifier: Apache-2.0
// Curves over updates and steps, and where the time went.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "course.hpp"
#include "html_parts.hpp"
#include "html_text.hpp"
#include "json_value.hpp"
#include "run_json.hpp"

namespace twistor::report {
namespace {

using Json = nlohmann::json;

/// A list of numbers by step, from 1.
Series by_step(std::string name, const Json& values, bool is_dashed = false) {
  Series series{std::move(name), {}, is_dashed};
  if (values.is_array())
    for (std::size_t t = 0; t < values.size(); ++t)
      series.points.emplace_back(static_cast<double>(t + 1), number_of(values[t]));
  return series;
}

std::string method_of(const Json& log_z) {
  const Json& method = at(log_z, {"method"});
  return method.is_string() ? text_of(method) : "estimate";
}

}  // namespace

std::string learning_charts(const Json& summary, const std::filesystem::path& metrics) {
  const Course course(metrics);
  std::string out;
  const Json& z = at(summary, {"log_z", "estimate"});
  if (course.evaluations().size() > 1) {
    out += svg_chart({.title = "Bounds of log Z",
                      .x_title = "updates",
                      .y_title = "nats",
                      .series = {course.evaluated("SMC lower", "evaluation.log_z.smc_lower"),
                                 course.evaluated("SMC upper", "evaluation.log_z.smc_upper"),
                                 course.evaluated("SIS lower", "evaluation.log_z.sis_lower", true),
                                 course.evaluated("SIS upper", "evaluation.log_z.sis_upper", true)},
                      .reference = number_of(at(z, {"value"})),
                      .reference_name = "log Z, " + method_of(z)});
    out += svg_chart({.title = "Divergences between q and the target",
                      .x_title = "updates",
                      .y_title = "nats",
                      .series = {course.evaluated("KL(q ‖ σ)", "evaluation.kl.q_sigma"),
                                 course.evaluated("KL(σ ‖ q)", "evaluation.kl.sigma_q")}});
  }
  out += svg_chart(
      {.title = "Loss", .x_title = "updates", .y_title = "loss", .series = {course.updated("loss", "loss")}});
  out += svg_chart({.title = "E log φ of what is sampled while learning",
                    .x_title = "updates",
                    .y_title = "nats",
                    .series = {course.updated("E log φ", "log_phi")}});
  return side_by_side(out);
}

std::string population_charts(const Json& summary) {
  Chart ess{.title = "Effective sample size, by step of the sweep",
            .x_title = "step t",
            .y_title = "particles",
            .reference = particles_of(summary),
            .reference_name = "K"};
  Chart ancestors{
      .title = "Particles with offspring, by step of the sweep", .x_title = "step t", .y_title = "particles"};
  for (const Column& column : columns_of(summary)) {
    const bool is_base = column.evaluation.way() == "base";
    ess.series.push_back(by_step(column.name, *column.evaluation.at({"ess", "per_step"}), is_base));
    ancestors.series.push_back(
        by_step(column.name, *column.evaluation.at({"genealogy", "unique_ancestors"}), is_base));
  }
  return side_by_side(svg_chart(ess) + svg_chart(ancestors));
}

std::string html_cost(const Json& summary) {
  const Place counters = Place(summary).at({"counters"});
  if (!counters->is_object()) return {};
  struct Counted {
    const char *name, *title;
  };
  constexpr Counted rows[] = {{"memory_peak_bytes", "memory, most of one rank"},
                              {"token_forwards", "tokens that the model read"},
                              {"rows_scored", "rows of the vocabulary that were scored"},
                              {"resamplings", "resamplings"},
                              {"moved_copies", "particles that moved to another rank"},
                              {"sent_bytes", "sent between ranks"},
                              {"skipped_updates", "updates without a positive sample"}};
  std::vector<std::pair<std::string, double>> seconds;
  for (const auto& [name, value] : counters->items())
    if (name.ends_with("_s")) seconds.emplace_back(name.substr(0, name.size() - 2), number_of(value));
  std::vector<std::vector<std::string>> cells;
  for (const Counted& row : rows) {
    const Place count = counters.at({row.name});
    const double x = number_of(*count);
    if (std::isnan(x)) continue;
    const bool is_size = std::string_view(row.name).ends_with("_bytes");
    cells.push_back({row.title, html_number_as(count, is_size ? bytes_text(x) : fmt::format("{:.0f}", x))});
  }
  const std::string table = cells.empty() ? std::string{} : html_table({"counted over all ranks", ""}, cells);
  return side_by_side(svg_bars("Seconds by stage, the slowest rank's", std::move(seconds), "s")) + table;
}

}  // namespace twistor::report
