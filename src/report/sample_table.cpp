// SPDX-License-Identifier: Apache-2.0
// The table at the end of `sample`.
#include "twistor/report/sample_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "twistor/base/log_space.hpp"
#include "twistor/estimate/statistics.hpp"
#include "twistor/report/table.hpp"

namespace twistor::report {
namespace {

std::string mean_log_phi(const std::vector<double>& log_phi, const std::vector<double>& log_w) {
  if (log_sum_exp(log_w) == log_zero) return "-";
  const auto n_zero = std::ranges::count(log_phi, log_zero);
  const estimate::Estimate e = estimate::weighted_mean_estimate(log_phi, log_w);
  if (std::isinf(e.mean)) return fmt::format("-inf (phi = 0 for {} of {})", n_zero, log_phi.size());
  return std::isnan(e.se) ? fmt::format("{:.4f}", e.mean) : fmt::format("{:.4f} ± {:.4f}", e.mean, e.se);
}

std::string share_unique(const std::vector<std::string>& keys) {
  const auto n = std::set(keys.begin(), keys.end()).size();
  return fmt::format("{} of {} ({:.0f} %)", n, keys.size(),
                     100.0 * static_cast<double>(n) / static_cast<double>(keys.size()));
}

}  // namespace

std::string sample_table(const std::vector<SampleRow>& rows, const SampleSummary& summary) {
  std::vector<double> log_phi, log_w;
  for (const SampleRow& row : rows) {
    log_phi.push_back(row.sequence.log_phi);
    log_w.push_back(std::log(row.weight));
  }
  Table table({"", "base model", "drawn for sigma"});
  const std::vector<double> equal_log_w(summary.base_log_phi.size(), 0.0);
  table.add_row(
      {"mean log phi", mean_log_phi(summary.base_log_phi, equal_log_w), mean_log_phi(log_phi, log_w)});
  table.add_row({"distinct texts", share_unique(summary.base_keys), share_unique(summary.keys)});
  table.add_row({"populations", "-", std::to_string(summary.draws.n_done())});
  table.add_row({"mean ESS at the end", "-",
                 fmt::format("{:.1f} of {}", summary.draws.mean_final_ess(), summary.particles)});
  if (summary.n_moves > 0)
    table.add_row({"moves to another text", "-",
                   fmt::format("{} of {} ({:.0f} %)", summary.draws.n_new(), summary.n_moves,
                               100.0 * static_cast<double>(summary.draws.n_new()) /
                                   static_cast<double>(summary.n_moves))});
  return table.text();
}

std::string prompt_sample_table(const std::vector<SampleGroup>& groups,
                                const std::vector<estimate::Draws>& draws, std::int64_t particles) {
  std::size_t n_lines = 0, n_distinct = 0;
  std::vector<double> mean_phi, ess;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    std::set<std::vector<std::int64_t>> distinct;
    std::vector<double> log_phi, log_w;
    for (const SampleRow& row : groups[i].rows) {
      distinct.insert(row.sequence.tokens);
      log_phi.push_back(row.sequence.log_phi);
      log_w.push_back(std::log(row.weight));
    }
    n_lines += groups[i].rows.size();
    n_distinct += distinct.size();
    ess.push_back(draws[i].mean_final_ess());
    if (log_phi.empty() || log_sum_exp(log_w) == log_zero) continue;
    if (const double mean = estimate::weighted_mean_estimate(log_phi, log_w).mean; std::isfinite(mean))
      mean_phi.push_back(mean);
  }
  Table table({"", "drawn for sigma"});
  table.add_row({"prompts", std::to_string(groups.size())});
  table.add_row({"sequences", std::to_string(n_lines)});
  table.add_row({"distinct within their prompts", std::to_string(n_distinct)});
  if (!mean_phi.empty())
    table.add_row({"mean log phi, over prompts",
                   fmt::format("{:.4f} (of {})", estimate::mean_estimate(mean_phi).mean, mean_phi.size())});
  table.add_row({"mean ESS at the end, over prompts",
                 fmt::format("{:.1f} of {}", estimate::mean_estimate(ess).mean, particles)});
  table.add_row({"lowest mean ESS of a prompt", fmt::format("{:.1f}", std::ranges::min(ess))});
  return table.text();
}

std::vector<std::string> prompt_sample_warnings(const std::vector<SampleGroup>& groups,
                                                const std::vector<estimate::Draws>& draws) {
  const auto n_empty = std::ranges::count_if(groups, [](const auto& group) { return group.rows.empty(); });
  std::int64_t n_dead = 0, n_done = 0;
  for (const estimate::Draws& one : draws) {
    n_dead += one.n_dead();
    n_done += one.n_done();
  }
  if (n_dead == 0) return {};
  return {fmt::format(
      "in {} of {} populations phi was 0 for every particle; no draw comes from them, and none at all "
      "for {} of {} prompts: train the twist longer, raise smc.particles or set a target.log_floor",
      n_dead, n_done, n_empty, groups.size())};
}

std::vector<std::string> sample_warnings(const estimate::Draws& draws, std::int64_t particles) {
  std::vector<std::string> out;
  if (draws.n_dead() > 0)
    out.push_back(
        fmt::format("in {} of {} populations phi was 0 for every particle; no draw comes from them: "
                    "train the twist longer, raise smc.particles or set a target.log_floor",
                    draws.n_dead(), draws.n_done()));
  if (draws.mean_final_ess() < std::max(2.0, 0.05 * static_cast<double>(particles)))
    out.push_back(fmt::format(
        "the weights are degenerate: a mean ESS of {:.1f} of {} particles at the end. What was drawn follows "
        "the proposal rather than sigma: train the twist longer, raise smc.particles or lower target.beta",
        draws.mean_final_ess(), particles));
  return out;
}

}  // namespace twistor::report
