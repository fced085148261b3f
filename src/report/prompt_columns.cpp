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

/// Adds a column with what `get` says of each row.
template <class Get>
void add_column(std::vector<PromptColumn>& columns, const std::vector<PromptRow>& rows, std::string name,
                const Get& get) {
  PromptColumn column{std::move(name), {}};
  for (const PromptRow& row : rows) column.values.push_back(get(row));
  columns.push_back(std::move(column));
}

/// Of those that are known.
estimate::Estimate mean_over_known(const std::vector<double>& values) {
  std::vector<double> known;
  std::ranges::copy_if(values, std::back_inserter(known), [](double x) { return std::isfinite(x); });
  return known.empty() ? estimate::Estimate{} : estimate::mean_estimate(known);
}

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

std::string number(double x) {
  return std::isnan(x) ? "-" : fmt::format("{:.4f}", x);
}

/// Where no run has met the event, their estimate of Z is 0: without it the mean would be that of the prompts
/// whose event is not rare.
double probability_or_zero(const estimate::Evaluation& e) {
  const bool has_vanished = e["log_z.smc_lower"].mean == -INFINITY;
  return std::isnan(e.probability.value) && has_vanished ? 0 : e.probability.value;
}

double gap(const estimate::Evaluation& e) {
  return e["log_z.smc_upper"].mean - e["log_z.smc_lower"].mean;
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
      table.add_row({fmt::format("{}: {}", first.name, title), number(mean.mean), number(mean.se),
                     std::isnan(half) ? "-"
                                      : fmt::format("{:.4f} to {:.4f}", std::max(least, mean.mean - half),
                                                    mean.mean + half),
                     fmt::format("{} of {}", mean.n, rows.size()), number(largest)});
    };
    using E = const estimate::Evaluation&;
    add("log Z", [](E e) { return e.log_z.value; });
    const bool tells_event = std::ranges::any_of(rows, [&](const PromptRow& row) {
      return !std::isnan(row.evaluations[s].evaluation.probability.value);
    });
    if (tells_event) add("P(event)", probability_or_zero, 0);
    for (const char* name : {"kl.q_sigma", "kl.sigma_q"})
      add(std::string(first.evaluation.find(name).title), [&](E e) { return e[name].mean; });
    add("gap of the SMC bounds", gap);
  }
  return table;
}

}  // namespace

std::vector<PromptColumn> prompt_columns(const std::vector<PromptRow>& rows) {
  std::vector<PromptColumn> out;
  if (rows.empty()) return out;
  const auto count = [&](const char* name, const auto& get) {
    add_column(out, rows, name, [&](const PromptRow& row) { return static_cast<double>(get(row)); });
  };
  count("prompt_tokens", [](const PromptRow& row) { return row.ids.size(); });
  count("length", [](const PromptRow& row) { return row.length; });
  for (std::size_t s = 0; s < rows.front().evaluations.size(); ++s) {
    const auto& [name, first] = rows.front().evaluations[s];
    const auto add = [&](const std::string& of, const auto& get) {
      add_column(out, rows, fmt::format("{}.{}", name, of),
                 [&](const PromptRow& row) { return get(row.evaluations[s].evaluation); });
    };
    using E = const estimate::Evaluation&;
    add("log_z.value", [](E e) { return e.log_z.value; });
    add("log_z.se", [](E e) { return e.log_z.se; });
    add("log_z.low", [](E e) { return e.log_z.low; });
    add("log_z.high", [](E e) { return e.log_z.high; });
    add("log_z.exact", [](E e) { return e.known.exact_log_z; });
    for (std::size_t i = 0; i < first.estimates.size(); ++i) {
      const std::string estimate(first.estimates[i].name);
      add(estimate + ".mean", [&](E e) { return e.estimates[i].value.mean; });
      add(estimate + ".se", [&](E e) { return e.estimates[i].value.se; });
      if (!estimate.starts_with("kl.")) continue;
      add(estimate + ".low", [&](E e) { return e.estimates[i].range.low; });
      add(estimate + ".high", [&](E e) { return e.estimates[i].range.high; });
    }
    add("probability.value", [](E e) { return e.probability.value; });
    add("probability.low", [](E e) { return e.probability.range.low; });
    add("probability.high", [](E e) { return e.probability.range.high; });
    add("ess", [](E e) { return e.mean_final_ess; });
  }
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
    const double d = distance(e), between = std::isnan(gap(e)) ? 0 : gap(e);
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
