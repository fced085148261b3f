// SPDX-License-Identifier: Apache-2.0
// Columns of evaluations.
#include "evaluation_columns.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>

#include "twistor/report/csv.hpp"
#include "twistor/report/json_line.hpp"

namespace twistor::report {

void add_evaluation_columns(std::vector<NumberColumn>& columns, const EvaluationRows& rows) {
  for (std::size_t s = 0; !rows.empty() && s < rows.front()->size(); ++s) {
    const auto& [name, first] = rows.front()->at(s);
    const auto add = [&](const std::string& of, const auto& get) {
      add_column(columns, rows, fmt::format("{}.{}", name, of),
                 [&](const auto* row) { return get((*row)[s].evaluation); });
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
}

std::string csv_record(std::vector<std::string> fields, const std::vector<NumberColumn>& columns,
                       std::size_t row) {
  for (const NumberColumn& column : columns)
    fields.push_back(std::isnan(column.values[row]) ? "" : plain_number(column.values[row]));
  return csv_line(fields);
}

double bound_gap(const estimate::Evaluation& e) {
  return e["log_z.smc_upper"].mean - e["log_z.smc_lower"].mean;
}

double probability_or_zero(const estimate::Evaluation& e) {
  const bool has_vanished = e["log_z.smc_lower"].mean == -INFINITY;
  return std::isnan(e.probability.value) && has_vanished ? 0 : e.probability.value;
}

estimate::Estimate mean_over_known(const std::vector<double>& values) {
  std::vector<double> known;
  std::ranges::copy_if(values, std::back_inserter(known), [](double x) { return std::isfinite(x); });
  return known.empty() ? estimate::Estimate{} : estimate::mean_estimate(known);
}

std::string short_number(double x) {
  return std::isnan(x) ? "-" : fmt::format("{:.4f}", x);
}

}  // namespace twistor::report
