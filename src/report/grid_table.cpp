// SPDX-License-Identifier: Apache-2.0
// Means over seeds.
#include "grid_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

#include "twistor/estimate/grid.hpp"
#include "twistor/report/table.hpp"

namespace twistor::report {
namespace {

struct Quantity {
  const char *name, *title;  // in files, in the table
  double (*of)(const estimate::Evaluation&);
};
constexpr Quantity quantities[] = {
    {"smc_lower", "SMC lower bound", [](const estimate::Evaluation& e) { return e["log_z.smc_lower"].mean; }},
    {"smc_upper", "SMC upper bound", [](const estimate::Evaluation& e) { return e["log_z.smc_upper"].mean; }},
    {"gap", "gap", bound_gap},
    {"q_sigma", "KL(q || sigma)", [](const estimate::Evaluation& e) { return e["kl.q_sigma"].mean; }},
    {"sigma_q", "KL(sigma || q)", [](const estimate::Evaluation& e) { return e["kl.sigma_q"].mean; }},
    {"ess", "ESS", [](const estimate::Evaluation& e) { return e.mean_final_ess; }}};

/// Rows of one K, which stand together.
std::vector<std::span<const GridRow>> by_particles(const std::vector<GridRow>& rows) {
  std::vector<std::span<const GridRow>> out;
  for (std::size_t begin = 0, end = 0; begin < rows.size(); begin = end) {
    while (end < rows.size() && rows[end].particles == rows[begin].particles) ++end;
    out.push_back(std::span(rows).subspan(begin, end - begin));
  }
  return out;
}

std::vector<double> over_seeds(std::span<const GridRow> rows, std::size_t sampler, const Quantity& quantity) {
  std::vector<double> out;
  for (const GridRow& row : rows) out.push_back(quantity.of(row.evaluations[sampler].evaluation));
  return out;
}

/// The exponent of the gap of the SMC bounds; n = 0 if it cannot be told.
estimate::Estimate gap_slope(const std::vector<GridRow>& rows, std::size_t sampler) {
  std::vector<double> particles;
  std::vector<std::vector<double>> gaps;
  for (const std::span<const GridRow> part : by_particles(rows)) {
    particles.push_back(static_cast<double>(part.front().particles));
    gaps.push_back(over_seeds(part, sampler, {nullptr, nullptr, bound_gap}));
  }
  return estimate::power_law(particles, gaps);
}

std::string with_half_width(const estimate::Estimate& e) {
  if (e.n == 0) return "-";
  const double half = estimate::half_width_95(e);
  return std::isnan(half) ? short_number(e.mean) : fmt::format("{:.4f} ± {:.4f}", e.mean, half);
}

JsonLine with_interval(const estimate::Estimate& e) {
  const double half = estimate::half_width_95(e);
  return JsonLine()
      .add("mean", e.mean)
      .add("se", e.se)
      .add("n", e.n)
      .add("low", e.mean - half)
      .add("high", e.mean + half);
}

}  // namespace

std::vector<NumberColumn> grid_columns(const std::vector<GridRow>& rows) {
  std::vector<NumberColumn> out;
  if (rows.empty()) return out;
  add_column(out, rows, "particles", [](const GridRow& row) { return row.particles; });
  add_column(out, rows, "seed", [](const GridRow& row) { return row.seed; });
  add_evaluation_columns(out, evaluations_of(rows));
  return out;
}

std::string grid_table(const std::vector<GridRow>& rows) {
  if (rows.empty()) return {};
  std::vector<std::string> header{"q", "K"};
  for (const Quantity& quantity : quantities) header.emplace_back(quantity.title);
  Table table(header);
  std::string slopes;
  const std::vector<std::span<const GridRow>> parts = by_particles(rows);
  for (std::size_t s = 0; s < rows.front().evaluations.size(); ++s) {
    const std::string& name = rows.front().evaluations[s].name;
    for (const std::span<const GridRow> part : parts) {
      std::vector<std::string> cells{name, std::to_string(part.front().particles)};
      for (const Quantity& quantity : quantities)
        cells.push_back(with_half_width(mean_over_known(over_seeds(part, s, quantity))));
      table.add_row(std::move(cells));
    }
    if (const estimate::Estimate slope = gap_slope(rows, s); slope.n > 0)
      slopes += fmt::format("{}: the gap goes as K^b, b = {}\n", name, with_half_width(slope));
  }
  const std::size_t n_seeds = parts.front().size();
  const std::string what =
      n_seeds > 1 ? fmt::format("means over {} seeds, ± half of Student's t interval at 95 %\n", n_seeds)
                  : std::string();
  return table.text() + "\n" + what + slopes;
}

JsonLine grid_json(const std::vector<GridRow>& rows) {
  std::string means;
  const std::vector<std::span<const GridRow>> parts = by_particles(rows);
  const std::vector<NamedEvaluation>& samplers = rows.front().evaluations;
  for (const std::span<const GridRow> part : parts) {
    JsonLine line;
    line.add("particles", part.front().particles);
    for (std::size_t s = 0; s < samplers.size(); ++s) {
      JsonLine of_sampler;
      for (const Quantity& quantity : quantities) {
        const estimate::Estimate mean = mean_over_known(over_seeds(part, s, quantity));
        if (mean.n == 0)
          of_sampler.add_json(quantity.name, "null");
        else
          of_sampler.add(quantity.name, with_interval(mean));
      }
      line.add(samplers[s].name, of_sampler);
    }
    means += (means.empty() ? "" : ",") + line.text();
  }
  std::vector<std::int64_t> seeds;
  for (const GridRow& row : parts.front()) seeds.push_back(static_cast<std::int64_t>(row.seed));
  JsonLine slopes;
  for (std::size_t s = 0; s < samplers.size(); ++s) {
    const estimate::Estimate slope = gap_slope(rows, s);
    if (slope.n > 0)
      slopes.add(samplers[s].name, with_interval(slope));
    else
      slopes.add_json(samplers[s].name, "null");
  }
  return JsonLine()
      .add("seeds", std::span<const std::int64_t>(seeds))
      .add_json("means", "[" + means + "]")
      .add("gap_slope", slopes);
}

}  // namespace twistor::report
