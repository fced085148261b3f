// SPDX-License-Identifier: Apache-2.0
// prompts.jsonl and prompts.csv as a sink.
#include <cstddef>
#include <span>

#include "json_evaluation.hpp"
#include "prompt_columns.hpp"
#include "twistor/report/csv.hpp"
#include "twistor/report/json_line.hpp"
#include "twistor/report/sink.hpp"

namespace twistor::report {
namespace {

std::string prompts_to_jsonl(const std::vector<PromptRow>& rows) {
  std::string out;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const PromptRow& row = rows[i];
    JsonLine line;
    line.add("index", i);
    if (row.id.empty())
      line.add_json("id", "null");
    else
      line.add("id", row.id);
    if (row.text)
      line.add("prompt", *row.text);
    else
      line.add("prompt", std::span<const std::int64_t>(row.ids));
    line.add("prompt_tokens", row.ids.size()).add("length", row.length);
    for (const NamedEvaluation& e : row.evaluations) {
      JsonLine nested;
      add_estimates(nested, e.evaluation);
      line.add(e.name, nested);
    }
    line.add("cost", JsonLine()
                         .add("exact_samples", row.n_exact)
                         .add("draws", row.n_draws)
                         .add("sequences", row.n_sequences));
    out += line.text() + "\n";
  }
  return out;
}

std::string prompts_to_csv(const std::vector<PromptRow>& rows) {
  const std::vector<NumberColumn> columns = prompt_columns(rows);
  std::vector<std::string> names{"index", "id", "prompt"};
  for (const NumberColumn& column : columns) names.push_back(column.name);
  std::string out = csv_line(names);
  for (std::size_t i = 0; i < rows.size(); ++i)
    out += csv_record({std::to_string(i), valid_utf8(rows[i].id), valid_utf8(rows[i].text.value_or(""))},
                      columns, i);
  return out;
}

class PromptFiles final : public Sink {
 public:
  explicit PromptFiles(std::filesystem::path folder) : folder_(std::move(folder)) {}

  void finished(const Run& run) override {
    if (run.prompts.empty()) return;
    write_text_atomically((folder_ / "prompts.jsonl").string(), prompts_to_jsonl(run.prompts));
    write_text_atomically((folder_ / "prompts.csv").string(), prompts_to_csv(run.prompts));
  }

 private:
  std::filesystem::path folder_;
};

}  // namespace

std::unique_ptr<Sink> prompt_files(const std::filesystem::path& folder) {
  return std::make_unique<PromptFiles>(folder);
}

}  // namespace twistor::report
