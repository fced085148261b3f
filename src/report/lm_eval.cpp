// SPDX-License-Identifier: Apache-2.0
// Evaluations in the layout of lm-evaluation-harness' results.
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "json_value.hpp"
#include "run_json.hpp"
#include "twistor/base/error.hpp"
#include "twistor/report/compare.hpp"
#include "twistor/report/json_line.hpp"

namespace twistor::report {
namespace {

using Json = nlohmann::json;

/// What is better where a metric is compared: 1 higher, -1 lower, 0 neither.
int direction_of(std::string_view metric) {
  constexpr std::array<std::pair<std::string_view, int>, 10> known{{{"log_z_smc_lower", 1},
                                                                    {"log_z_sis_lower", 1},
                                                                    {"log_z_smc_upper", -1},
                                                                    {"log_z_sis_upper", -1},
                                                                    {"kl_q_sigma", -1},
                                                                    {"kl_sigma_q", -1},
                                                                    {"kl_symmetrised", -1},
                                                                    {"proposal_f_q", 1},
                                                                    {"proposal_g_q", -1},
                                                                    {"ess_final", 1}}};
  for (const auto& [name, direction] : known)
    if (name == metric) return direction;
  return 0;
}

/// One sampler's evaluation: metrics with their errors, and which direction is better.
class HarnessTask {
 public:
  explicit HarnessTask(const std::string& name) { metrics_.add("alias", name); }
  void add(const std::string& metric, double value, double se) {
    if (std::isnan(value)) return;
    metrics_.add(metric + ",none", value);
    if (std::isnan(se))
      metrics_.add(metric + "_stderr,none", "N/A");  // the harness's word
    else
      metrics_.add(metric + "_stderr,none", se);
    if (const int direction = direction_of(metric); direction != 0)
      higher_is_better_.add(metric, direction > 0);
  }
  [[nodiscard]] const JsonLine& metrics() const { return metrics_; }
  [[nodiscard]] const JsonLine& higher_is_better() const { return higher_is_better_; }

 private:
  JsonLine metrics_, higher_is_better_;
};

HarnessTask harness_task(const std::string& name, const Json& evaluation) {
  HarnessTask out(name);
  const Json& log_z = at(evaluation, {"log_z", "estimate"});
  out.add("log_z", number_of(at(log_z, {"value"})), number_of(at(log_z, {"se"})));
  for (const char* section : {"log_z", "kl", "proposal"}) {
    const Json& estimates = at(evaluation, {section});
    if (!estimates.is_object()) continue;
    for (const auto& [key, value] : estimates.items())
      if (value.is_object() && value.contains("mean"))
        out.add(fmt::format("{}_{}", section, key), number_of(value["mean"]), number_of(at(value, {"se"})));
  }
  out.add("probability", number_of(at(evaluation, {"probability", "value"})), std::nan(""));
  out.add("ess_final", number_of(at(evaluation, {"ess", "final"})), std::nan(""));
  return out;
}

/// The members of the file, by task.
struct HarnessFile {
  JsonLine results, versions, n_shot, higher_is_better, n_samples, configs;

  void add(const std::string& name, const Json& evaluation, const Json& summary) {
    const HarnessTask task = harness_task(name, evaluation);
    results.add(name, task.metrics());
    versions.add(name, text_of(at(summary, {"versions", "twistor"})));
    n_shot.add(name, 0);
    higher_is_better.add(name, task.higher_is_better());
    const Json& samples = at(summary, {"config", "evaluate", "samples"});
    const std::int64_t n = samples.is_number_integer() ? samples.get<std::int64_t>() : 0;
    n_samples.add(name, JsonLine().add("original", n).add("effective", n));
    configs.add_json(name, at(summary, {"config"}).dump(-1, ' ', false, Json::error_handler_t::replace));
  }
};

/// Every evaluation of a run: the final one, and those beside it.
void add_run(HarnessFile& file, const std::string& name, const Json& summary) {
  file.add(name, summary, summary);
  for (const char* when : {"base", "before"})
    if (const Json& evaluation = at(summary, {when}); evaluation.is_object())
      file.add(fmt::format("{}.{}", name, when), evaluation, summary);
  for (const char* kind : {"policies", "checkpoints"}) {
    const Json& all = at(summary, {kind});
    if (!all.is_object()) continue;
    for (const auto& [key, evaluation] : all.items())
      file.add(fmt::format("{}.{}", name, key), evaluation, summary);
  }
}

}  // namespace

std::string lm_eval_text(std::span<const std::filesystem::path> folders) {
  HarnessFile file;
  std::map<std::string, int> times;  // folders of one name are numbered
  std::string model;
  for (const std::filesystem::path& folder : folders) {
    const Json summary = read_summary_json(folder);
    TWISTOR_CHECK(at(summary, {"log_z"}).is_object(), ErrorKind::data,
                  "reading " + (folder / "summary.json").string(), "it is no summary of a run",
                  "another version of twistor may have written it; run its command again");
    const std::string name =
        (std::filesystem::absolute(folder) / "").lexically_normal().parent_path().filename().string();
    const int time = ++times[name];
    add_run(file, time == 1 ? name : fmt::format("{}#{}", name, time), summary);
    if (model.empty()) model = text_of(at(summary, {"config", "model", "path"}));
  }
  JsonLine json;
  json.add("results", file.results).add("configs", file.configs).add("versions", file.versions);
  json.add("n-shot", file.n_shot).add("higher_is_better", file.higher_is_better);
  json.add("n-samples", file.n_samples);
  json.add("config", JsonLine().add("model", "twistor").add("model_args", "pretrained=" + model));
  return indented(json.text()) + "\n";
}

}  // namespace twistor::report
