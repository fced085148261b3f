// SPDX-License-Identifier: Apache-2.0
// What the samples of q say: the distribution of log phi, and how far psi can be believed.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "html_parts.hpp"
#include "html_text.hpp"
#include "svg_chart.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/estimate/findings.hpp"
#include "twistor/estimate/statistics.hpp"

namespace twistor::report {
namespace {

std::span<const double> numbers_of(const store::Results& results, const std::string& name) {
  const auto found = results.arrays.find(name);
  if (found == results.arrays.end()) return {};
  const auto* const array = std::get_if<Array<double>>(&found->second);
  return array != nullptr ? std::span<const double>(array->values) : std::span<const double>{};
}

/// Weighted values of log phi, under a name for people.
struct Distribution {
  std::string name;
  std::span<const double> values;
  std::vector<double> shares;  // sum 1
};

/// softmax(log_w), or nothing if all weights vanish.
std::vector<double> shares_of(std::span<const double> log_w) {
  const double log_sum = log_sum_exp(log_w);
  std::vector<double> out;
  if (log_sum != log_zero)
    for (const double x : log_w) out.push_back(std::exp(x - log_sum));
  return out;
}

std::vector<Distribution> distributions_of(const store::Results& results) {
  const std::span<const double> base = numbers_of(results, "base/q/log_phi"),
                                q = numbers_of(results, "after/q/log_phi");
  const auto equal = [](std::size_t n) { return std::vector<double>(n, 1 / static_cast<double>(n)); };
  std::vector<Distribution> out;
  if (!base.empty()) out.push_back({"base model", base, equal(base.size())});
  if (q.empty()) return out;
  out.push_back({"q", q, equal(q.size())});
  const std::span<const double> log_w = numbers_of(results, "after/q/log_weight");
  if (std::vector<double> shares = shares_of(log_w); shares.size() == q.size())
    out.push_back({"q, weighted for the target", q, std::move(shares)});
  return out;
}

/// One bin of calibration: samples of like log psi.
struct PsiBin {
  std::int64_t n = 0;
  double log_psi = 0, log_future = 0, se = 0;  // logs of means, and the error of the last
};

/// Bins of equally many samples by log psi, which is known up to a constant for each step: with the one that
/// makes both means equal. None where psi tells nothing, or where phi never came.
std::vector<PsiBin> psi_bins(std::span<const double> log_psi, std::span<const double> log_future,
                             std::size_t step) {
  constexpr std::size_t n_bins = 10, stride = estimate::n_psi_steps;
  const std::size_t n = std::min(log_psi.size(), log_future.size()) / stride;
  std::vector<std::pair<double, double>> pairs;
  std::vector<double> psi, future;
  for (std::size_t i = 0; i < n; ++i) {
    pairs.emplace_back(log_psi[i * stride + step], log_future[i * stride + step]);
    psi.push_back(pairs.back().first);
    future.push_back(pairs.back().second);
  }
  const double shift = n > 0 ? log_sum_exp(future) - log_sum_exp(psi) : 0.0;
  std::ranges::stable_sort(pairs, {}, &std::pair<double, double>::first);
  if (n < 2 * n_bins || !std::isfinite(shift) || pairs.front().first == pairs.back().first) return {};
  std::vector<PsiBin> out;
  for (std::size_t b = 0; b < n_bins; ++b) {
    psi.clear();
    future.clear();
    for (std::size_t i = n * b / n_bins; i < n * (b + 1) / n_bins; ++i) {
      psi.push_back(pairs[i].first + shift);
      future.push_back(pairs[i].second);
    }
    const estimate::Estimate mean = estimate::log_mean_exp_estimate(future);
    out.push_back({static_cast<std::int64_t>(psi.size()),
                   log_sum_exp(psi) - std::log(static_cast<double>(psi.size())), mean.mean, mean.se});
  }
  return out;
}

}  // namespace

std::string log_phi_chart(const store::Results& results) {
  constexpr std::size_t n_bins = 24;
  const std::vector<Distribution> distributions = distributions_of(results);
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const Distribution& d : distributions)
    for (const double x : d.values)
      if (std::isfinite(x)) {
        low = std::min(low, x);
        high = std::max(high, x);
      }
  Chart chart{
      .title = "Distribution of log φ", .x_title = "log φ, nats", .y_title = "share of the samples in a bin"};
  std::vector<std::string> zeros;
  const double width = (high - low) / static_cast<double>(n_bins);
  for (const Distribution& d : distributions) {
    std::vector<double> share(width > 0 ? n_bins : 1);
    double zero = 0;
    for (std::size_t i = 0; i < d.values.size(); ++i) {
      if (!std::isfinite(d.values[i])) {
        zero += d.shares[i];
        continue;
      }
      const auto bin = width > 0 ? static_cast<std::size_t>((d.values[i] - low) / width) : 0;
      share[std::min(bin, share.size() - 1)] += d.shares[i];
    }
    Series series{d.name, {}, d.name == "base model"};
    if (low <= high)
      for (std::size_t b = 0; b < share.size(); ++b)
        series.points.emplace_back(low + (static_cast<double>(b) + 0.5) * width, share[b]);
    chart.series.push_back(std::move(series));
    if (zero > 0) zeros.push_back(fmt::format("{} {:.4g} %", d.name, 100 * zero));
  }
  std::string out = svg_chart(chart);
  if (out.empty()) return out;
  std::string note;
  for (const std::string& zero : zeros) note += (note.empty() ? "φ is 0 for: " : ", ") + zero;
  const std::string words = note.empty() ? note : fmt::format("<p class=\"soft\">{}.</p>\n", html(note));
  return out.insert(out.rfind("</figure>"), words);
}

std::string calibration_chart(const store::Results& results, std::int64_t length) {
  if (length < 1) return {};
  const std::span<const double> log_psi = numbers_of(results, "after/q/log_psi"),
                                log_future = numbers_of(results, "after/q/log_future");
  const auto steps = estimate::psi_steps(length);
  Chart chart{.title = "Calibration of ψ",
              .x_title = "log of ψ, mean of a bin",
              .y_title = "log of the φ that came, mean of the bin"};
  std::vector<std::vector<std::string>> rows;
  std::set<std::int64_t> seen;
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (std::size_t j = 0; j < steps.size(); ++j) {
    if (!seen.insert(steps[j]).second) continue;
    Series series{fmt::format("step {} of {}", steps[j], length)};
    for (const PsiBin& bin : psi_bins(log_psi, log_future, j)) {
      series.points.emplace_back(bin.log_psi, bin.log_future);
      low = std::min(low, bin.log_psi);
      high = std::max(high, bin.log_psi);
      rows.push_back({fmt::format("{}", steps[j]), fmt::format("{}", bin.n),
                      fmt::format("{:.4f}", bin.log_psi),
                      std::isfinite(bin.log_future) ? fmt::format("{:.4f}", bin.log_future) : "−∞",
                      std::isfinite(bin.se) ? fmt::format("{:.4f}", bin.se) : "–"});
    }
    if (!series.points.empty()) chart.series.push_back(std::move(series));
  }
  if (rows.empty()) return {};
  chart.series.push_back({"as foretold", {{low, low}, {high, high}}, true});
  std::string out = svg_chart(chart);
  if (out.empty()) return out;
  const std::string table =
      "<p class=\"soft\">Each point is a tenth of the samples of q, by their ψ. The φ that came is weighted "
      "for that "
      "the sampler, not the base model, wrote the rest of the text. ψ is known up to a factor for each step; "
      "here "
      "both have one mean. On the dashed line ψ foretells φ; a flat line tells that it knows nothing.</p>\n" +
      details("Bins with their counts",
              html_table({"step", "samples", "log ψ", "log φ that came", "its standard error"}, rows));
  return out.insert(out.rfind("</figure>"), table);
}

}  // namespace twistor::report
