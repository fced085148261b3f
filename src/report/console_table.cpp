// SPDX-License-Identifier: Apache-2.0
// The table at the end of a run, as a sink.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "grid_table.hpp"
#include "prompt_columns.hpp"
#include "twistor/report/sink.hpp"
#include "twistor/report/table.hpp"

namespace twistor::report {
namespace {

std::string with_error(double mean, double se) {
  return std::isnan(se) ? fmt::format("{:.4f}", mean) : fmt::format("{:.4f} ± {:.4f}", mean, se);
}

/// A value with its error; of a divergence whose log Z is not known exactly, the range too, or the bound that
/// is known alone.
std::string cell(const estimate::NamedEstimate& e) {
  if (!e.is_made()) return "-";
  const std::string_view note = e.note();
  if (e.is_exact) return fmt::format("{:.4f} {}", e.value.mean, note);
  if (note == "lower bound") return fmt::format("≥ {:.4f}", e.range.low);
  if (note == "upper bound") return fmt::format("≤ {:.4f}", e.range.high);
  if (std::isnan(e.value.mean)) return "-";
  std::string out = with_error(e.value.mean, e.value.se);
  if (!note.empty()) out += fmt::format(" ({})", note);
  if (std::isfinite(e.range.low) && e.range.low < e.range.high)
    out += fmt::format(" in [{:.4f}, {:.4f}]", e.range.low, e.range.high);
  return out;
}

std::string log_z_title(const estimate::LogZ& z) {
  return z.is_exact() ? fmt::format("log Z, {}", name_of(z.method)) : "log Z, estimate";
}

std::string log_z_cell(const estimate::LogZ& z) {
  if (std::isnan(z.value)) return "-";
  return z.is_exact() ? fmt::format("{:.6f}", z.value) : with_error(z.value, z.se);
}

/// Where log Z comes from and what is certain of it; the probability in words where it is one.
std::string words_of(const estimate::Evaluation& e, std::int64_t particles) {
  std::string out;
  if (e.observations > 0)
    out += fmt::format("means over {} observation{}, ± standard errors over them\n", e.observations,
                       e.observations == 1 ? "" : "s");
  if (e.prompts > 0) out += fmt::format("means over {} prompts, ± standard errors over them\n", e.prompts);
  if (e.prompts == 0 && e.seeds < 2 && !e.log_z.is_exact() && e.log_z.method != estimate::LogZMethod::none)
    out += fmt::format("log Z, the same for all: {}\n", name_of(e.log_z.method));
  if (const double nats = estimate::missed_by_smc(e); nats > 0)
    out += fmt::format(
        "populations that resample miss a part of the target: runs without resampling show that log Z "
        "lies at least {:.4f} above the 95 % interval of their mean\n",
        nats);
  const auto& [low, high] = e.certified_log_z;
  if (!e.log_z.is_exact() && std::isfinite(low))
    out += fmt::format("certain at 95 %: log Z >= {:.4f}\n", low);
  if (!e.log_z.is_exact() && std::isfinite(high))
    out += fmt::format("certain at 95 %: log Z <= {:.4f}\n", high);
  const estimate::Probability& p = e.probability;
  using Method = estimate::LogZMethod;
  if (std::isnan(p.value)) return out;
  out += fmt::format("P(event) = {:.3g}", p.value);
  if (p.method == Method::exact || p.method == Method::given)
    return out + fmt::format(", {}\n", name_of(p.method));
  if (!std::isnan(p.range.low))
    out += fmt::format(", 95 % interval {:.3g} to {:.3g}", p.range.low, p.range.high);
  if (p.method == Method::rejection) return out + ", by rejection\n";
  return out + fmt::format(", from {} runs of {} particles\n", e["log_z.smc_lower"].n, particles);
}

/// The estimates that tables show, in the order of their rows, or of their columns.
std::vector<estimate::NamedEstimate> shown(const estimate::Evaluation& e,
                                           int estimate::NamedEstimate::*place) {
  std::vector<estimate::NamedEstimate> out;
  std::ranges::copy_if(e.estimates, std::back_inserter(out), [&](const auto& x) { return x.*place > 0; });
  std::ranges::sort(out, {}, place);
  return out;
}

/// The evaluations beside one another, the base model first.
Table table_of(const Run& run) {
  std::vector<std::string> header{""};
  std::vector<const estimate::Evaluation*> columns;
  const auto column = [&](const std::string& name, const estimate::Evaluation* e) {
    if (e == nullptr) return;
    header.push_back(name);
    columns.push_back(e);
  };
  column("base model", run.base);
  if (run.before != run.base) column("before learning", run.before);
  column(name_of_after(run), run.after);
  for (const NamedEvaluation& checkpoint : run.checkpoints) column(checkpoint.name, &checkpoint.evaluation);
  Table table(header);
  const auto add = [&](std::string_view title, auto value) {
    std::vector<std::string> cells{std::string(title)};
    for (const estimate::Evaluation* e : columns) cells.push_back(value(*e));
    table.add_row(cells);
  };
  using E = const estimate::Evaluation&;
  add(log_z_title(run.after->log_z), [](E e) { return log_z_cell(e.log_z); });
  for (const estimate::NamedEstimate& estimate : shown(*run.after, &estimate::NamedEstimate::row))
    add(estimate.title, [&](E e) { return cell(e.find(estimate.name)); });
  add("ESS at the end", [&](E e) { return fmt::format("{:.1f} of {}", e.mean_final_ess, run.particles); });
  add("seconds", [](E e) { return fmt::format("{:.1f}", e.seconds); });
  return table;
}

/// One row for each proposal: base model, twists, policies.
Table proposals_table(const Run& run) {
  std::vector<std::string> header{"q"};
  for (const estimate::NamedEstimate& e : shown(*run.after, &estimate::NamedEstimate::column))
    header.emplace_back(e.title);
  header.emplace_back("ESS");
  Table table(header);
  const auto row = [&](const std::string& name, const estimate::Evaluation* e) {
    if (e == nullptr) return;
    std::vector<std::string> cells{name};
    for (const auto& estimate : shown(*e, &estimate::NamedEstimate::column)) cells.push_back(cell(estimate));
    cells.push_back(fmt::format("{:.1f} of {}", e->mean_final_ess, run.particles));
    table.add_row(std::move(cells));
  };
  row("base model", run.base);
  if (!run.is_after_policy) row(name_of_after(run), run.after);
  for (const NamedEvaluation& checkpoint : run.checkpoints) row(checkpoint.name, &checkpoint.evaluation);
  for (const NamedEvaluation& policy : run.policies) row(policy.name, &policy.evaluation);
  return table;
}

std::string log_z_line(const estimate::LogZ& z) {
  return fmt::format("{}: {}\n", log_z_title(z), log_z_cell(z));
}

class ConsoleTable final : public Sink {
 public:
  void finished(const Run& run) override {
    const std::string tables = !run.grid.empty() ? grid_table(run.grid)
                               : run.policies.empty()
                                   ? table_of(run).text()
                                   : proposals_table(run).text() + "\n" + log_z_line(run.after->log_z);
    fmt::print("\n{}{}\n{}{} rank(s), {:.1f} s in all. Files: {}; report.html is to look at\n", tables,
               prompt_summary(run.prompts) + forecast_lines(run.forecasts),
               words_of(*run.after, run.particles), run.n_ranks, run.seconds, run.folder.string());
  }
};

}  // namespace

std::unique_ptr<Sink> console_table() {
  return std::make_unique<ConsoleTable>();
}

}  // namespace twistor::report
