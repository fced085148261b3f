// SPDX-License-Identifier: Apache-2.0
// report.html: the prompts of a run, those farthest from their targets first.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "html_parts.hpp"
#include "html_text.hpp"
#include "json_value.hpp"
#include "run_json.hpp"
#include "svg_chart.hpp"

namespace twistor::report {
namespace {

using Json = nlohmann::json;

std::vector<std::string> samplers_of(const Json& line) {
  std::vector<std::string> out;
  for (const auto& [name, value] : line.items())
    if (value.is_object() && value.contains("kl")) out.push_back(name);
  return out;
}

/// A number of all prompts in order, smallest first; as many of them as a chart can show.
Series sorted_series(std::string name, const std::vector<Place>& prompts,
                     std::initializer_list<const char*> way) {
  constexpr std::size_t most = 400;
  std::vector<double> values;
  for (const Place& prompt : prompts)
    if (const double x = number_of(*prompt.at(way)); std::isfinite(x)) values.push_back(x);
  std::ranges::sort(values);
  Series out{std::move(name)};
  const std::size_t stride = std::max<std::size_t>(1, (values.size() + most - 1) / most);
  for (std::size_t i = 0; i < values.size(); ++i)
    if (i % stride == 0 || i + 1 == values.size())
      out.points.emplace_back(static_cast<double>(i + 1), values[i]);
  return out;
}

std::string charts(const std::vector<Place>& prompts, const std::vector<std::string>& samplers) {
  struct Shown {
    const char* title;
    std::array<const char*, 3> way;
  };
  constexpr Shown shown[] = {{"log Z over prompts", {"log_z", "estimate", "value"}},
                             {"KL(q ‖ σ) over prompts", {"kl", "q_sigma", "mean"}},
                             {"KL(σ ‖ q) over prompts", {"kl", "sigma_q", "mean"}}};
  std::string out;
  for (const Shown& one : shown) {
    Chart chart{.title = one.title, .x_title = "prompts, the smallest first", .y_title = "nats"};
    for (const std::string& sampler : samplers)
      chart.series.push_back(
          sorted_series(sampler, prompts, {sampler.c_str(), one.way[0], one.way[1], one.way[2]}));
    out += svg_chart(chart);
  }
  return side_by_side(out);
}

std::string title_of(const Place& prompt) {
  const Json &id = *prompt.at({"id"}), &text = *prompt.at({"prompt"});
  const std::string words = text.is_string() ? text_of(text) : text.dump();
  return id.is_string() ? fmt::format("{}<br><small>{}</small>", html(text_of(id)), html(words))
                        : html(words);
}

}  // namespace

std::string html_prompts(const std::filesystem::path& file) {
  constexpr std::size_t most = 50;
  if (!std::filesystem::exists(file)) return {};
  const std::vector<Json> lines = read_lines(contents_of(file)).objects;
  std::vector<Place> prompts;
  for (std::size_t i = 0; i < lines.size(); ++i)
    prompts.emplace_back(lines[i], fmt::format("{}:{}", file.filename().string(), i + 1));
  if (prompts.empty()) return {};
  const std::vector<std::string> samplers = samplers_of(lines.front());
  if (samplers.empty()) return {};
  const char* sampler = samplers.back().c_str();
  const bool tells_event = std::ranges::any_of(prompts, [&](const Place& prompt) {
    return prompt.at({sampler, "probability"})->is_object();
  });
  const auto distance = [&](const Place& prompt) {
    const double kl = number_of(*prompt.at({sampler, "kl", "q_sigma", "mean"}));
    return std::isnan(kl) ? -std::numeric_limits<double>::infinity() : kl;
  };
  std::vector<Place> order = prompts;
  std::ranges::stable_sort(order, std::greater<>{}, distance);
  order.erase(order.begin() + static_cast<std::ptrdiff_t>(std::min(most, order.size())), order.end());
  std::vector<std::string> header{"prompt",          "T",         "log Z",     "SMC lower bound",
                                  "SMC upper bound", "KL(q ‖ σ)", "KL(σ ‖ q)", "ESS"};
  if (tells_event) header.emplace_back("P(event)");
  std::vector<std::vector<std::string>> rows;
  for (const Place& prompt : order) {
    const Place e = prompt.at({sampler});
    std::vector<std::string>& row = rows.emplace_back();
    row = {title_of(prompt), html_number(prompt.at({"length"}), "{:.0f}"),
           html_number(e.at({"log_z", "estimate", "value"}))};
    for (const auto& [section, name] : {std::pair{"log_z", "smc_lower"}, std::pair{"log_z", "smc_upper"},
                                        std::pair{"kl", "q_sigma"}, std::pair{"kl", "sigma_q"}})
      row.push_back(html_estimate(e.at({section, name})));
    row.push_back(html_number(e.at({"ess", "final"}), "{:.1f}"));
    if (tells_event) row.push_back(html_number(e.at({"probability", "value"}), "{:.3g}"));
  }
  return charts(prompts, samplers) + html_table(header, rows) +
         fmt::format(
             "<p class=\"soft\">{} of {} prompts with “{}” as q, the largest KL(q ‖ σ) first; all of "
             "them and all numbers are in prompts.csv.</p>\n",
             rows.size(), prompts.size(), html(samplers.back()));
}

}  // namespace twistor::report
