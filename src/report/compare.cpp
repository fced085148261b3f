// SPDX-License-Identifier: Apache-2.0
// Reading summaries and putting runs together.
#include "twistor/report/compare.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "json_value.hpp"
#include "run_json.hpp"
#include "twistor/base/error.hpp"
#include "twistor/store/results.hpp"

namespace twistor::report {
namespace {

using Json = nlohmann::json;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double normal_quantile = 1.959963984540054;  // half a 95 % interval, in standard errors

/// Keys in which runs may differ and yet be the same experiment.
bool is_of_no_matter(std::string_view key) {
  constexpr std::string_view keys[] = {"exact.path", "evaluate.checkpoint", "evaluate.log_z",
                                       "train.checkpoint_every", "exact.budget"};
  return key.starts_with("run.") || key.starts_with("sample.") ||
         std::ranges::find(keys, key) != std::end(keys);
}

/// Keys that say what sigma is.
bool is_of_target(std::string_view key) {
  return key.starts_with("model.") || key.starts_with("prompt.") || key.starts_with("target.");
}

estimate::Estimate estimate_of(const Json& value) {
  if (!value.is_object()) return {};
  return {number_of(value.at("mean")), number_of(value.at("se")), value.at("n").get<std::int64_t>()};
}

RunSummary from_json(const Json& summary, std::string folder) {
  RunSummary run;
  run.folder = std::move(folder);
  for (const auto& [section, keys] : summary.at("config").items())
    for (const auto& [key, value] : keys.items()) run.config[section + "." + key] = text_of(value);
  const Json &log_z = summary.at("log_z"), &proposal = summary.at("proposal");
  run.f_q = estimate_of(proposal.at("f_q"));
  run.g_q = estimate_of(proposal.at("g_q"));
  run.log_phi = estimate_of(proposal.at("log_phi"));
  run.kl_q_p0 = estimate_of(proposal.at("kl_q_p0"));
  run.lower = estimate_of(log_z.at("smc_lower"));
  run.upper = estimate_of(log_z.at("smc_upper"));
  run.log_z = number_of(log_z.at("estimate").at("value"));
  run.is_log_z_exact = log_z.at("estimate").at("method") == "exact";
  run.is_mean = summary.contains("prompts") || summary.contains("observations");
  run.kl_q_sigma = estimate_of(at(summary, {"kl", "q_sigma"}));
  run.kl_sigma_q = estimate_of(at(summary, {"kl", "sigma_q"}));
  run.updates = summary.at("updates").get<std::int64_t>();
  return run;
}

/// Only numbers whose mean is what the summary says belong to it.
void add_exact_samples(RunSummary& run, const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) return;
  const store::Results results = store::load_results(file);
  const auto numbers = results.arrays.find("after/sigma/log_weight"),
             samples = results.arrays.find("after/sigma/samples");
  if (numbers == results.arrays.end() || samples == results.arrays.end()) return;
  const auto* values = std::get_if<Array<double>>(&numbers->second);
  const auto* digest = std::get_if<std::string>(&samples->second);
  if (values == nullptr || digest == nullptr || values->values.empty() || run.g_q.n == 0) return;
  const double mean = estimate::mean_estimate(values->values).mean;
  if (std::abs(mean - run.g_q.mean) > 1e-9 * (1 + std::abs(mean))) return;
  run.g = values->values;
  run.exact_digest = *digest;
}

double median(std::vector<double> x) {
  if (x.empty()) return nan;
  std::ranges::sort(x);
  const std::size_t middle = x.size() / 2;
  return x.size() % 2 == 1 ? x[middle] : 0.5 * (x[middle - 1] + x[middle]);
}

/// What files that are older than the key do not say is empty.
std::string value_of(const RunSummary& run, const std::string& key) {
  const auto found = run.config.find(key);
  return found == run.config.end() ? std::string{} : found->second;
}

std::string values_of(const RunSummary& run, const std::set<std::string>& keys) {
  std::string out;
  for (const std::string& key : keys) out += value_of(run, key) + '\n';
  return out;
}

OverRuns over_runs(std::span<const RunSummary* const> runs, const auto& value_of) {
  std::vector<double> values;
  double se = nan;
  for (const RunSummary* run : runs) {
    const estimate::Estimate e = value_of(*run);
    if (e.n == 0 || std::isnan(e.mean)) continue;
    values.push_back(e.mean);
    se = e.se;
  }
  if (values.empty()) return {};
  if (values.size() == 1) return {values[0], normal_quantile * se};
  const estimate::Estimate mean = estimate::mean_estimate(values);
  return {mean.mean, estimate::half_width_95(mean)};
}

/// "dpg" where one key tells rows apart, "objective = dpg, form = mlp" where several do.
std::string label_of(const RunSummary& run, const std::set<std::string>& differing) {
  if (differing.empty()) return "all runs";
  if (differing.size() == 1) return value_of(run, *differing.begin());
  std::vector<std::string> parts;
  for (const std::string& key : differing)
    parts.push_back(fmt::format("{} = {}", key.substr(key.find('.') + 1), value_of(run, key)));
  return fmt::format("{}", fmt::join(parts, ", "));
}

/// Of all runs with that target.
double common_log_z(std::span<const RunSummary* const> runs) {
  std::vector<double> values;
  for (const RunSummary* run : runs) {
    if (run->is_log_z_exact) return run->log_z;
    if (std::isfinite(run->log_z)) values.push_back(run->log_z);
  }
  return median(values);
}

struct Keys {
  std::set<std::string> all, of_target, differing;
  std::set<std::string> partly_known;  ///< to some of the runs
};

Keys keys_of(std::span<const RunSummary> runs) {
  Keys out;
  for (const RunSummary& run : runs)
    for (const auto& [key, value] : run.config) out.all.insert(key);
  for (const std::string& key : out.all) {
    // Of a key that some files are too young or too old for, nothing is known.
    const bool is_known =
        std::ranges::all_of(runs, [&](const RunSummary& run) { return run.config.contains(key); });
    if (!is_known && !is_of_no_matter(key)) out.partly_known.insert(key);
    if (is_known && is_of_target(key)) out.of_target.insert(key);
    if (!is_known || is_of_no_matter(key)) continue;
    for (const RunSummary& run : runs)
      if (value_of(run, key) != value_of(runs.front(), key)) out.differing.insert(key);
  }
  return out;
}

using Runs = std::vector<const RunSummary*>;

/// Every measure by what `of` makes of the function that reads it from a run.
Measures measures(double log_z, const auto& of) {
  const auto shifted = [log_z](const estimate::Estimate& e, double sign) {
    return estimate::Estimate{sign * (log_z - e.mean), e.se, e.n};
  };
  return {.kl_q_sigma =
              of([&](const RunSummary& run) { return run.is_mean ? run.kl_q_sigma : shifted(run.f_q, 1); }),
          .kl_sigma_q =
              of([&](const RunSummary& run) { return run.is_mean ? run.kl_sigma_q : shifted(run.g_q, -1); }),
          .lower = of([](const RunSummary& run) { return run.lower; }),
          .upper = of([](const RunSummary& run) { return run.upper; }),
          .log_phi = of([](const RunSummary& run) { return run.log_phi; }),
          .kl_q_p0 = of([](const RunSummary& run) { return run.kl_q_p0; })};
}

ComparedRow row_of(const Runs& runs, std::string label, double log_z) {
  ComparedRow row{measures(log_z, [&](const auto& value) { return over_runs(runs, value); }),
                  std::move(label), static_cast<std::int64_t>(runs.size()), log_z};
  for (const RunSummary* run : runs) row.folders.push_back(run->folder);
  return row;
}

/// Runs of both rows that have one seed; a seed that a row has twice tells nothing apart.
std::vector<std::pair<const RunSummary*, const RunSummary*>> pairs_by_seed(const Runs& a, const Runs& b) {
  std::map<std::string, std::pair<Runs, Runs>> by_seed;
  for (const RunSummary* run : a) by_seed[value_of(*run, "run.seed")].first.push_back(run);
  for (const RunSummary* run : b) by_seed[value_of(*run, "run.seed")].second.push_back(run);
  std::vector<std::pair<const RunSummary*, const RunSummary*>> out;
  for (const auto& [seed, runs] : by_seed)
    if (runs.first.size() == 1 && runs.second.size() == 1)
      out.emplace_back(runs.first.front(), runs.second.front());
  return out;
}

/// Of means that do not depend on one another, by Welch's degrees of freedom where runs tell how they spread.
OverRuns unpaired(const Runs& a, const Runs& b, const auto& value_of) {
  const auto summary = [&](const Runs& runs) {
    std::vector<double> values;
    estimate::Estimate last;
    for (const RunSummary* run : runs)
      if (const estimate::Estimate e = value_of(*run); e.n > 0 && std::isfinite(e.mean)) {
        values.push_back(e.mean);
        last = e;
      }
    if (values.size() > 1) return estimate::mean_estimate(values);
    return estimate::Estimate{last.mean, last.se, static_cast<std::int64_t>(values.size())};
  };
  const estimate::Estimate x = summary(a), y = summary(b);
  if (x.n == 0 || y.n == 0) return {};
  const double u = x.se * x.se, v = y.se * y.se;
  double quantile = normal_quantile;
  if (x.n > 1 && y.n > 1 && u + v > 0) {
    const auto dof = [](double part, std::int64_t n) { return part * part / static_cast<double>(n - 1); };
    quantile = estimate::student_t_quantile(0.975, (u + v) * (u + v) / (dof(u, x.n) + dof(v, y.n)));
  }
  return {y.mean - x.mean, quantile * std::sqrt(u + v)};
}

/// Of KL(sigma || q) between single runs, by exact samples where both measured with the same ones.
void pair_by_exact_samples(ComparedRow& row, const RunSummary& a, const RunSummary& b) {
  if (a.g_q.n == 0 || b.g_q.n == 0 || (a.g_q.se == 0 && b.g_q.se == 0)) return;  // nothing, or exact
  if (a.g.empty() || b.g.empty()) {
    row.why_not_shared = "results.h5 does not have the numbers by sample of both runs";
    return;
  }
  if (a.exact_digest != b.exact_digest || a.g.size() != b.g.size()) {
    row.why_not_shared = "the runs measured with different exact samples";
    return;
  }
  std::vector<double> differences;
  for (std::size_t i = 0; i < a.g.size(); ++i) differences.push_back(b.g[i] - a.g[i]);
  if (!std::ranges::all_of(differences, [](double x) { return std::isfinite(x); })) {
    row.why_not_shared = "a sampler gives no probability to an exact sample";
    return;
  }
  const estimate::Estimate mean = estimate::mean_estimate(differences);
  row.difference.kl_sigma_q = {mean.mean, estimate::half_width_95(mean)};
  row.n_shared_samples = mean.n;
}

/// How the runs b differ from a.
void set_difference(ComparedRow& row, const Runs& a, const Runs& b) {
  const auto pairs = pairs_by_seed(a, b);
  const bool is_paired = pairs.size() > 1;
  row.n_pairs = is_paired ? static_cast<std::int64_t>(pairs.size()) : 0;
  row.difference = measures(row.log_z, [&](const auto& value) -> OverRuns {
    if (!is_paired) return unpaired(a, b, value);
    std::vector<double> differences;
    for (const auto& [first, second] : pairs) {
      const estimate::Estimate x = value(*first), y = value(*second);
      if (x.n > 0 && y.n > 0 && std::isfinite(x.mean) && std::isfinite(y.mean))
        differences.push_back(y.mean - x.mean);
    }
    if (differences.size() < 2) return {};
    const estimate::Estimate mean = estimate::mean_estimate(differences);
    return {mean.mean, estimate::half_width_95(mean)};
  });
  if (!is_paired && a.size() == 1 && b.size() == 1) pair_by_exact_samples(row, *a.front(), *b.front());
}

std::vector<std::string> missing_in(const Runs& runs, const std::set<std::string>& keys) {
  std::vector<std::string> out;
  for (const std::string& key : keys)
    if (!std::ranges::all_of(runs, [&](const RunSummary* run) { return run->config.contains(key); }))
      out.push_back(key);
  return out;
}

}  // namespace

RunSummary read_summary(const std::filesystem::path& folder) {
  try {
    RunSummary run = from_json(read_summary_json(folder), folder.string());
    add_exact_samples(run, folder / "results.h5");
    return run;
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::data, "reading " + (folder / "summary.json").string(),
                fmt::format("it is no summary of a run: {}", error.what()),
                "another version of twistor may have written it; run its command again");
  }
}

std::vector<ComparedRow> compare(std::span<const RunSummary> runs, const std::string& by) {
  const Keys keys = keys_of(runs);
  const std::string doing = "comparing runs by " + by;
  std::set<std::string> naming = keys.differing;
  if (!by.empty()) {
    TWISTOR_CHECK(keys.all.contains(by), ErrorKind::usage, doing, "these runs have no such key",
                  "name a key of the configuration, train.objective for instance");
    naming = {by};
  }
  std::map<std::string, Runs> by_target, by_row;
  std::vector<std::string> order;
  for (const RunSummary& run : runs) {
    by_target[values_of(run, keys.of_target)].push_back(&run);
    const std::string label = label_of(run, naming);
    if (!by_row.contains(label)) order.push_back(label);
    by_row[label].push_back(&run);
  }
  std::vector<ComparedRow> rows;
  for (const std::string& label : order) {
    const auto& members = by_row.at(label);
    for (const RunSummary* run : members)
      for (const std::string& key : keys.differing)
        TWISTOR_CHECK(value_of(*run, key) == value_of(*members.front(), key), ErrorKind::usage, doing,
                      fmt::format("{} and {} would share a row, and differ in {}", members.front()->folder,
                                  run->folder, key),
                      "leave out one of them, or --by");
    const std::string target = values_of(*members.front(), keys.of_target);
    rows.push_back(row_of(members, label, common_log_z(by_target.at(target))));
    rows.back().missing_keys = missing_in(members, keys.partly_known);
    const auto& first = by_row.at(order.front());
    if (rows.size() > 1 && target == values_of(*first.front(), keys.of_target))
      set_difference(rows.back(), first, members);
  }
  return rows;
}

}  // namespace twistor::report
