// The table at the end of a run, as a sink.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "twistor/report/sink.hpp"
#include "twistor/report/table.hpp"

namespace twistor::report {
namespace {

std::string cell(const estimate::Estimate& e) {
  if (e.n == 0) return "-";
  return std::isnan(e.se) ? fmt::format("{:.4f}", e.mean) : fmt::format("{:.4f} ± {:.4f}", e.mean, e.se);
}

/// The estimates that tables show, in the order of their rows.
std::vector<estimate::NamedEstimate> shown(const estimate::Evaluation& e) {
  std::vector<estimate::NamedEstimate> out;
  std::ranges::copy_if(e.estimates, std::back_inserter(out), [](const auto& x) { return x.row > 0; });
  std::ranges::sort(out, {}, &estimate::NamedEstimate::row);
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
  column(run.after->update == 0 ? "untrained" : fmt::format("after {} updates", run.after->update),
         run.after);
  Table table(header);
  const auto add = [&](std::string_view title, auto value) {
    std::vector<std::string> cells{std::string(title)};
    for (const estimate::Evaluation* e : columns) cells.push_back(value(*e));
    table.add_row(cells);
  };
  using E = const estimate::Evaluation&;
  add("log Z, exact",
      [](E e) { return std::isnan(e.exact_log_z) ? "-" : fmt::format("{:.6f}", e.exact_log_z); });
  for (const estimate::NamedEstimate& estimate : shown(*run.after))
    add(estimate.title, [&](E e) { return cell(e[estimate.name]); });
  add("ESS at the end", [&](E e) { return fmt::format("{:.1f} of {}", e.mean_final_ess, run.particles); });
  add("seconds", [](E e) { return fmt::format("{:.1f}", e.seconds); });
  return table;
}

class ConsoleTable final : public Sink {
 public:
  void finished(const Run& run) override {
    fmt::print("\n{}\n{} rank(s), {:.1f} s in all. Files: {}\n", table_of(run).text(), run.n_ranks,
               run.seconds, run.folder.string());
  }
};

}  // namespace

std::unique_ptr<Sink> console_table() {
  return std::make_unique<ConsoleTable>();
}

}  // namespace twistor::report
