// SPDX-License-Identifier: Apache-2.0
// sweep.jsonl and sweep.csv as a sink.
#include "grid_table.hpp"
#include "json_evaluation.hpp"
#include "twistor/report/csv.hpp"
#include "twistor/report/sink.hpp"

namespace twistor::report {
namespace {

std::string grid_to_jsonl(const std::vector<GridRow>& rows) {
  std::string out;
  for (const GridRow& row : rows) {
    JsonLine line;
    line.add("particles", row.particles).add("seed", row.seed);
    for (const NamedEvaluation& e : row.evaluations) {
      JsonLine nested;
      add_estimates(nested, e.evaluation);
      line.add(e.name, nested);
    }
    out += line.text() + "\n";
  }
  return out;
}

std::string grid_to_csv(const std::vector<GridRow>& rows) {
  const std::vector<NumberColumn> columns = grid_columns(rows);
  std::vector<std::string> names;
  for (const NumberColumn& column : columns) names.push_back(column.name);
  std::string out = csv_line(names);
  for (std::size_t i = 0; i < rows.size(); ++i) out += csv_record({}, columns, i);
  return out;
}

class GridFiles final : public Sink {
 public:
  explicit GridFiles(std::filesystem::path folder) : folder_(std::move(folder)) {}

  void finished(const Run& run) override {
    if (run.grid.empty()) return;
    write_text_atomically((folder_ / "sweep.jsonl").string(), grid_to_jsonl(run.grid));
    write_text_atomically((folder_ / "sweep.csv").string(), grid_to_csv(run.grid));
  }

 private:
  std::filesystem::path folder_;
};

}  // namespace

std::unique_ptr<Sink> grid_files(const std::filesystem::path& folder) {
  return std::make_unique<GridFiles>(folder);
}

}  // namespace twistor::report
