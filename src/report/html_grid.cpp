// SPDX-License-Identifier: Apache-2.0
// report.html: means over seeds for each K.
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "html_parts.hpp"
#include "html_text.hpp"
#include "json_value.hpp"

namespace twistor::report {
namespace {

/// A mean with half of its interval.
std::string mean_cell(const Place& value) {
  const double mean = number_of(*value.at({"mean"})), high = number_of(*value.at({"high"}));
  if (std::isnan(mean)) return "–";
  return html_number(value.at({"mean"})) +
         (std::isnan(high) ? std::string{} : fmt::format(" <small>± {:.4f}</small>", high - mean));
}

}  // namespace

std::string html_grid(const nlohmann::json& summary) {
  const Place sweep = Place(summary).at({"sweep"}), means = sweep.at({"means"}),
              slopes = sweep.at({"gap_slope"});
  if (!means->is_array() || !slopes->is_object()) return {};
  std::vector<std::vector<std::string>> rows;
  std::string words;
  for (const auto& [sampler, ignored] : slopes->items()) {
    for (std::size_t i = 0; i < means->size(); ++i) {
      const Place one = means.element(i);
      std::vector<std::string> row{html(sampler), one.at({"particles"})->dump()};
      for (const char* name : {"smc_lower", "smc_upper", "gap", "q_sigma", "sigma_q", "ess"})
        row.push_back(mean_cell(one.at({sampler.c_str(), name})));
      rows.push_back(std::move(row));
    }
    if (const Place slope = slopes.at({sampler.c_str()}); slope->is_object())
      words +=
          fmt::format("<p>{}: the gap goes as K<sup>b</sup>, b = {}.</p>\n", html(sampler), mean_cell(slope));
  }
  return html_table({"q", "K", "SMC lower bound", "SMC upper bound", "gap", "KL(q ‖ σ)", "KL(σ ‖ q)", "ESS"},
                    rows) +
         words + "<p class=\"soft\">Means over seeds; ± is half of Student's t interval at 95 %.</p>\n";
}

}  // namespace twistor::report
