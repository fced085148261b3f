// SPDX-License-Identifier: Apache-2.0
// Evaluations in JSON.
#include "json_evaluation.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace twistor::report {
namespace {

JsonLine interval_of(const estimate::Interval& range) {
  return JsonLine().add("low", range.low).add("high", range.high);
}

JsonLine log_z_of(const estimate::LogZ& z) {
  return JsonLine()
      .add("value", z.value)
      .add("se", z.se)
      .add("low", z.low)
      .add("high", z.high)
      .add("method", name_of(z.method));
}

JsonLine probability_of(const estimate::Probability& p) {
  return JsonLine()
      .add("value", p.value)
      .add("low", p.range.low)
      .add("high", p.range.high)
      .add("level", p.level)
      .add("method", name_of(p.method));
}

/// {"mean", "se", "n"}; of what rests on log Z its range too, and what must be said beside it.
void add_estimate(JsonLine& section, const estimate::NamedEstimate& e) {
  const std::string_view name = e.name.substr(e.name.find('.') + 1);
  const bool has_range = !std::isnan(e.range.low) || !std::isnan(e.range.high);
  if (!e.is_made() || (!has_range && e.note().empty())) {
    section.add(name, e.value);
    return;
  }
  JsonLine line;
  line.add("mean", e.value.mean).add("se", e.value.se).add("n", e.value.n);
  if (has_range) line.add("low", e.range.low).add("high", e.range.high);
  if (!e.note().empty()) line.add("note", e.note());
  section.add(name, line);
}

}  // namespace

void add_estimates(JsonLine& json, const estimate::Evaluation& e) {
  std::vector<std::string> order;  // of sections, as the list of estimates has them
  std::map<std::string, JsonLine> sections;
  sections["log_z"].add("exact", e.known.exact_log_z).add("estimate", log_z_of(e.log_z));
  for (const estimate::NamedEstimate& estimate : e.estimates) {
    const std::size_t dot = estimate.name.find('.');
    const std::string section(estimate.name.substr(0, dot));
    if (std::ranges::find(order, section) == order.end()) order.push_back(section);
    add_estimate(sections[section], estimate);
  }
  sections["log_z"]
      .add("genealogical_variance", e.genealogical_variance)
      .add("sample_variance", e.sample_variance)
      .add("missed_by_smc", estimate::missed_by_smc(e))
      .add("certified", interval_of(e.certified_log_z).add("level", estimate::Probability::level));
  for (const std::string& section : order) json.add(section, sections[section]);
  json.add("ess",
           JsonLine().add("final", e.mean_final_ess).add("per_step", std::span<const double>(e.mean_ess)));
  json.add("genealogy", JsonLine()
                            .add("founders", e.mean_founders)
                            .add("unique_ancestors", std::span<const double>(e.mean_survivors)));
  json.add("log_q_error", JsonLine().add("largest", e.log_q_error_largest).add("mean", e.log_q_error_mean));
  if (e.probability.method == estimate::LogZMethod::none)
    json.add_json("probability", "null");
  else
    json.add("probability", probability_of(e.probability));
}

}  // namespace twistor::report
