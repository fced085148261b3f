// SPDX-License-Identifier: Apache-2.0
// Columns of many prompts, and what they come to.
#include "prompt_columns.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <tuple>

#include "twistor/format/quote.hpp"
#include "twistor/report/table.hpp"

namespace twistor::report {
namespace {

std::string title_of(const PromptRow& row, std::size_t index) {
  constexpr std::size_t most = 40;
  std::string text = row.text.value_or("");
  if (text.size() > most) text = "..." + text.substr(text.size() - most);
  const std::string name = row.id.empty() ? fmt::format("{}", index) : row.id;
  return text.empty() ? name : fmt::format("{} {}", name, format::quote(text));
}

/// How far the sampler is from the target: NaN counts as nothing known.
double distance(const estimate::Evaluation& e) {
  const double kl = e["kl.q_sigma"].mean;
  return std::isnan(kl) ? estimate::distance_from_target(e) : kl;
}

Table means_table(const std::vector<PromptRow>& rows) {
  Table table({"mean over prompts", "mean", "± SE", "95 % interval (Student t)", "prompts", "largest"});
  for (std::size_t s = 0; s < rows.front().evaluations.size(); ++s) {
    const NamedEvaluation& first = rows.front().evaluations[s];
    const auto add = [&](const std::string& title, const auto& get, double least = -INFINITY) {
      std::vector<double> values;
      for (const PromptRow& row : rows) values.push_back(get(row.evaluations[s].evaluation));
      const estimate::Estimate mean = mean_over_known(values);
      if (mean.n == 0) return;
      const double half = estimate::half_width_95(mean);
      const auto largest =
          std::ranges::max(values, {}, [](double x) { return std::isnan(x) ? -INFINITY : x; });
      table.add_row({fmt::format("{}: {}", first.name, title), short_number(mean.mean), short_number(mean.se),
                     std::isnan(half) ? "-"
                                      : fmt::format("{:.4f} to {:.4f}", std::max(least, mean.mean - half),
                                                    mean.mean + half),
                     fmt::format("{} of {}", mean.n, rows.size()), short_number(largest)});
    };
    using E = const estimate::Evaluation&;
    add("log Z", [](E e) { return e.log_z.value; });
    const bool tells_event = std::ranges::any_of(rows, [&](const PromptRow& row) {
      return !std::isnan(row.evaluations[s].evaluation.probability.value);
    });
    if (tells_event) add("P(event)", probability_or_zero, 0);
    for (const char* name : {"kl.q_sigma", "kl.sigma_q"})
      add(std::string(first.evaluation.find(name).title), [&](E e) { return e[name].mean; });
    add("gap of the SMC bounds", bound_gap);
  }
  return table;
}

}  // namespace

std::vector<NumberColumn> prompt_columns(const std::vector<PromptRow>& rows) {
  std::vector<NumberColumn> out;
  if (rows.empty()) return out;
  const auto count = [&](const char* name, const auto& get) { add_column(out, rows, name, get); };
  count("prompt_tokens", [](const PromptRow& row) { return row.ids.size(); });
  count("length", [](const PromptRow& row) { return row.length; });
  add_evaluation_columns(out, evaluations_of(rows));
  count("exact_samples", [](const PromptRow& row) { return row.n_exact; });
  count("draws", [](const PromptRow& row) { return row.n_draws; });
  count("sequences", [](const PromptRow& row) { return row.n_sequences; });
  return out;
}

std::string prompt_summary(const std::vector<PromptRow>& rows) {
  if (rows.empty()) return {};
  constexpr std::size_t most_shown = 3;
  std::vector<std::tuple<double, double, std::size_t>> worst;  // minus the distance, minus the gap, place
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const estimate::Evaluation& e = rows[i].evaluations.back().evaluation;
    const double d = distance(e), between = std::isnan(bound_gap(e)) ? 0 : bound_gap(e);
    if (!std::isnan(d)) worst.emplace_back(-d, -between, i);
  }
  std::ranges::sort(worst);
  std::string out = "\n" + means_table(rows).text();
  if (rows.size() > 1 && !worst.empty()) out += "\nfarthest from the target, nats:\n";
  for (std::size_t i = 0; rows.size() > 1 && i < std::min(most_shown, worst.size()); ++i) {
    const auto [minus_distance, minus_gap, place] = worst[i];
    out += fmt::format("  {:.4f}  {}\n", -minus_distance, title_of(rows[place], place));
  }
  return out;
}

}  // namespace twistor::report
