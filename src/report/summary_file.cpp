// SPDX-License-Identifier: Apache-2.0
// summary.json as a sink.
#include <map>
#include <span>

#include "grid_table.hpp"
#include "json_evaluation.hpp"
#include "twistor/report/json_line.hpp"
#include "twistor/report/sink.hpp"

namespace twistor::report {
namespace {

/// With the time that it took.
void add_evaluation(JsonLine& json, const estimate::Evaluation& e) {
  add_estimates(json, e);
  json.add("seconds", e.seconds);
}

/// An object of them under one name, if there are any.
void add_named(JsonLine& json, std::string_view name, const std::vector<NamedEvaluation>& evaluations) {
  if (evaluations.empty()) return;
  JsonLine all;
  for (const NamedEvaluation& one : evaluations) {
    JsonLine nested;
    add_evaluation(nested, one.evaluation);
    all.add(one.name, nested);
  }
  json.add(name, all);
}

JsonLine forecasts(const std::vector<NamedForecast>& all) {
  JsonLine json;
  for (const NamedForecast& f : all)
    json.add(f.name, JsonLine()
                         .add("prompts", f.n)
                         .add("largest", f.largest.value)
                         .add("low", f.largest.range.low)
                         .add("high", f.largest.range.high)
                         .add("level", f.largest.level)
                         .add("fitted", f.fit.n_fitted)
                         .add("of", f.fit.n_prompts)
                         .add("threshold", f.fit.threshold)
                         .add("mean_excess", f.fit.mean_excess));
  return json;
}

/// All kinds beside one another; integers in the order of their names, then seconds.
JsonLine counts(const Counters& counters) {
  std::map<std::string, std::int64_t> integers = counters.sums;
  integers.insert(counters.maxima.begin(), counters.maxima.end());
  return JsonLine().add_all(integers).add_all(counters.seconds);
}

JsonLine prompt_of(const Run& run) {
  JsonLine json;
  if (!run.prompts.empty()) return json.add("n", run.prompts.size()).add("sha256", run.prompts_digest);
  json.add("ids", std::span<const std::int64_t>(run.prompt));
  json.add("special_tokens", std::span<const std::int64_t>(run.special_tokens));
  if (run.special_tokens_rule.empty())
    json.add_json("rule", "null");
  else
    json.add("rule", run.special_tokens_rule);
  return json;
}

class SummaryFile final : public Sink {
 public:
  explicit SummaryFile(std::filesystem::path file) : file_(std::move(file)) {}

  void finished(const Run& run) override {
    JsonLine summary;
    add_evaluation(summary, *run.after);
    summary.add("updates", run.after->update);
    if (!run.is_after_policy) summary.add("twist", name_of_after(run));
    if (run.after->observations > 0) summary.add("observations", run.after->observations);
    if (run.after->prompts > 0) summary.add("prompts", run.after->prompts);
    for (const auto& [name, e] : {std::pair{"base", run.base}, std::pair{"before", run.before}}) {
      if (e == nullptr) continue;
      JsonLine nested;
      add_evaluation(nested, *e);
      summary.add(name, nested);
    }
    if (run.after->seeds > 0) summary.add("seeds", run.after->seeds);
    if (!run.after_name.empty()) summary.add("checkpoint", run.after_name);
    add_named(summary, "checkpoints", run.checkpoints);
    add_named(summary, "policies", run.policies);
    if (!run.forecasts.empty()) summary.add("forecast", forecasts(run.forecasts));
    if (!run.grid.empty()) summary.add("sweep", grid_json(run.grid));
    summary.add("prompt", prompt_of(run));
    if (!run.target.empty()) summary.add("target", run.target);
    if (!run.positives.empty()) summary.add("positives", run.positives);
    summary.add_json("config", run.config_json);
    JsonLine versions;
    for (const auto& [name, version] : run.versions) versions.add(name, version);
    JsonLine hosts;
    for (const auto& [host, n_ranks] : run.hosts) hosts.add(host, n_ranks);
    summary.add("counters", counts(run.counters)).add("ranks", run.n_ranks);
    if (!run.job.empty()) summary.add("job", run.job);
    summary.add("hosts", hosts).add("versions", versions);
    write_text_atomically(file_.string(), indented(summary.text()) + "\n");
  }

 private:
  std::filesystem::path file_;
};

}  // namespace

std::unique_ptr<Sink> summary_file(const std::filesystem::path& file) {
  return std::make_unique<SummaryFile>(file);
}

}  // namespace twistor::report
