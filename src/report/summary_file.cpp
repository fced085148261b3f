// summary.json as a sink.
#include <algorithm>
#include <map>
#include <span>

#include "twistor/report/json_line.hpp"
#include "twistor/report/sink.hpp"

namespace twistor::report {
namespace {

/// {"log_z": {...}, "kl": {...}, ...} of one evaluation; estimates that could not be made are null.
void add_estimates(JsonLine& json, const estimate::Evaluation& e) {
  std::vector<std::string> order;  // of sections, as the list of estimates has them
  std::map<std::string, JsonLine> sections;
  sections["log_z"].add("exact", e.exact_log_z);
  for (const estimate::NamedEstimate& estimate : e.estimates) {
    const std::size_t dot = estimate.name.find('.');
    const std::string section(estimate.name.substr(0, dot));
    if (std::ranges::find(order, section) == order.end()) order.push_back(section);
    sections[section].add(estimate.name.substr(dot + 1), estimate.value);
  }
  sections["log_z"].add("genealogical_variance", e.genealogical_variance);
  for (const std::string& section : order) json.add(section, sections[section]);
  json.add("ess",
           JsonLine().add("final", e.mean_final_ess).add("per_step", std::span<const double>(e.mean_ess)));
  json.add("seconds", e.seconds);
}

/// All kinds beside one another; integers in the order of their names, then seconds.
JsonLine counts(const Counters& counters) {
  std::map<std::string, std::int64_t> integers = counters.sums;
  integers.insert(counters.maxima.begin(), counters.maxima.end());
  return JsonLine().add_all(integers).add_all(counters.seconds);
}

JsonLine prompt_of(const Run& run) {
  JsonLine json;
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
    add_estimates(summary, *run.after);
    summary.add("updates", run.after->update);
    for (const auto& [name, e] : {std::pair{"base", run.base}, std::pair{"before", run.before}}) {
      if (e == nullptr) continue;
      JsonLine nested;
      add_estimates(nested, *e);
      summary.add(name, nested);
    }
    summary.add("prompt", prompt_of(run));
    summary.add_json("config", run.config_json);
    JsonLine versions;
    for (const auto& [name, version] : run.versions) versions.add(name, version);
    summary.add("counters", counts(run.counters)).add("ranks", run.n_ranks).add("versions", versions);
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
