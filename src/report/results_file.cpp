// SPDX-License-Identifier: Apache-2.0
// results.h5 as a sink.
#include <algorithm>

#include "prompt_columns.hpp"
#include "twistor/report/sink.hpp"
#include "twistor/store/results.hpp"

namespace twistor::report {
namespace {

void add_evaluation(store::Results& results, const std::string& prefix, const estimate::Evaluation* e) {
  if (e == nullptr) return;
  const auto add = [&](std::string_view name, const std::vector<double>& values) {
    if (!values.empty()) results.arrays[prefix + "/" + std::string(name)] = Array<double>::flat(values);
  };
  for (const estimate::NamedEstimate& estimate : e->estimates)
    add(estimate.name.substr(estimate.name.find('.') + 1), estimate.runs);
  add("ess_per_step", e->mean_ess);
  add("unique_ancestors", e->mean_survivors);
  results.arrays[prefix + "/log_z_method"] = std::string(name_of(e->log_z.method));
  results.numbers.merge(estimate::to_numbers(*e, prefix));
}

class ResultsFile final : public Sink {
 public:
  explicit ResultsFile(std::filesystem::path file) : file_(std::move(file)) {}

  void finished(const Run& run) override {
    store::Results results;
    results.config_text = run.config_text;
    add_evaluation(results, "base", run.base);
    add_evaluation(results, "before", run.before);
    add_evaluation(results, "after", run.after);
    for (const NamedEvaluation& policy : run.policies)
      add_evaluation(results, "policies/" + policy.name, &policy.evaluation);
    for (PromptColumn& column : prompt_columns(run.prompts)) {
      std::ranges::replace(column.name, '.', '/');
      results.arrays["prompts/" + column.name] = Array<double>::flat(std::move(column.values));
    }
    results.counters = run.counters.sums;
    results.counters.insert(run.counters.maxima.begin(), run.counters.maxima.end());
    results.numbers.insert(run.counters.seconds.begin(), run.counters.seconds.end());
    store::write_results(file_, results);
  }

 private:
  std::filesystem::path file_;
};

}  // namespace

std::unique_ptr<Sink> results_file(const std::filesystem::path& file) {
  return std::make_unique<ResultsFile>(file);
}

}  // namespace twistor::report
