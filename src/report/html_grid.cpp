// SPDX-License-Identifier: Apache-2.0
// report.html: means over seeds for each K.
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "html_parts.hpp"
#include "html_text.hpp"
#include "json_value.hpp"
#include "run_json.hpp"
#include "svg_chart.hpp"

namespace twistor::report {
namespace {

/// A mean with half of its interval.
std::string mean_cell(const Place& value) {
  const double mean = number_of(*value.at({"mean"})), high = number_of(*value.at({"high"}));
  if (std::isnan(mean)) return "–";
  return html_number(value.at({"mean"})) +
         (std::isnan(high) ? std::string{} : fmt::format(" <small>± {:.4f}</small>", high - mean));
}

/// One number of the means over K; without points where the summary has no such sampler.
Series over_particles(std::string name, const nlohmann::json& summary, const std::string& sampler,
                      const char* number) {
  Series out{std::move(name)};
  for (const nlohmann::json& one : at(summary, {"sweep", "means"})) {
    const nlohmann::json& value = at(one, {sampler.c_str(), number});
    const double mean = number_of(at(value, {"mean"}));
    out.points.emplace_back(number_of(at(one, {"particles"})), mean);
    out.errors.push_back(number_of(at(value, {"high"})) - mean);
  }
  return out;
}

}  // namespace

std::string grid_charts(std::span<const std::pair<std::string, nlohmann::json>> summaries) {
  struct Shown {
    const char* title;
    std::vector<std::pair<const char*, const char*>> numbers;  // what they are called, and in the file
  };
  const Shown shown[] = {{"Bounds of log Z, by K", {{" lower", "smc_lower"}, {" upper", "smc_upper"}}},
                         {"Gap of the SMC bounds, by K", {{"", "gap"}}}};
  std::string out;
  for (const Shown& one : shown) {
    Chart chart{.title = one.title, .x_title = "particles, K", .y_title = "nats", .has_log_x = true};
    for (const auto& [label, summary] : summaries) {
      const nlohmann::json& means = at(summary, {"sweep", "means"});
      const nlohmann::json& samplers = at(summary, {"sweep", "gap_slope"});
      if (!means.is_array() || means.size() < 2 || !samplers.is_object()) continue;
      for (const auto& [sampler, slope] : samplers.items())
        for (const auto& [suffix, number] : one.numbers)
          chart.series.push_back(
              over_particles((summaries.size() > 1 ? label + ": " : std::string{}) + sampler + suffix,
                             summary, sampler, number));
    }
    out += svg_chart(chart);
  }
  return side_by_side(out);
}

std::string html_grid(const nlohmann::json& summary) {
  const Place sweep = Place(summary).at({"sweep"}), means = sweep.at({"means"}),
              slopes = sweep.at({"gap_slope"});
  if (!means->is_array() || !slopes->is_object()) return {};
  std::vector<std::vector<std::string>> rows;
  std::string words;
  for (const auto& [sampler, ignored] : slopes->items()) {
    for (std::size_t i = 0; i < means->size(); ++i) {
      const Place one = means.element(i);
      std::vector<std::string> row{html(sampler), one.at({"particles"})->dump()};
      for (const char* name : {"smc_lower", "smc_upper", "gap", "q_sigma", "sigma_q", "ess"})
        row.push_back(mean_cell(one.at({sampler.c_str(), name})));
      rows.push_back(std::move(row));
    }
    if (const Place slope = slopes.at({sampler.c_str()}); slope->is_object())
      words +=
          fmt::format("<p>{}: the gap goes as K<sup>b</sup>, b = {}.</p>\n", html(sampler), mean_cell(slope));
  }
  return html_table({"q", "K", "SMC lower bound", "SMC upper bound", "gap", "KL(q ‖ σ)", "KL(σ ‖ q)", "ESS"},
                    rows) +
         words + grid_charts(std::array{std::pair{std::string{}, summary}}) +
         "<p class=\"soft\">Means over seeds; ± is half of Student's t interval at 95 %.</p>\n";
}

}  // namespace twistor::report
