// SPDX-License-Identifier: Apache-2.0
// One observation after another, and their means.
#include "twistor/estimate/observations.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/exact/enumeration.hpp"

namespace twistor::estimate {
namespace {

/// One number of every evaluation.
template <class Get>
std::vector<double> each_of(std::span<const Evaluation> evaluations, const Get& get) {
  std::vector<double> out;
  for (const Evaluation& e : evaluations) out.push_back(get(e));
  return out;
}

double plain_mean(const std::vector<double>& x) {
  return std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
}

std::vector<double> mean_of_steps(std::span<const Evaluation> evaluations,
                                  std::vector<double> Evaluation::*member) {
  std::vector<double> out((evaluations.front().*member).size());
  for (const Evaluation& e : evaluations)
    if ((e.*member).size() != out.size()) return {};  // of prompts that are continued by more or fewer tokens
  for (std::size_t t = 0; t < out.size(); ++t)
    out[t] = plain_mean(each_of(evaluations, [&](const Evaluation& e) { return (e.*member)[t]; }));
  return out;
}

LogZ mean_log_z(std::span<const Evaluation> evaluations) {
  const auto mean = [&](double LogZ::*member) {
    return plain_mean(each_of(evaluations, [&](const Evaluation& e) { return e.log_z.*member; }));
  };
  LogZ out{mean(&LogZ::value), nan, mean(&LogZ::low), mean(&LogZ::high), evaluations.front().log_z.method};
  double squares = 0;  // the errors of their own
  for (const Evaluation& e : evaluations) {
    squares += e.log_z.se * e.log_z.se;
    if (e.log_z.method != out.method) out.method = LogZMethod::mixed;
  }
  out.se = std::sqrt(squares) / static_cast<double>(evaluations.size());
  return out;
}

/// Over those targets for which it could be made.
NamedEstimate mean_estimate_of(std::span<const Evaluation> evaluations, std::size_t i) {
  NamedEstimate out = evaluations.front().estimates[i];
  out.is_exact = false;  // a mean over some observations is an estimate
  out.runs.clear();
  out.range = {};
  std::vector<double> means, low, high;
  for (const Evaluation& e : evaluations) {
    const NamedEstimate& one = e.estimates[i];
    if (!one.is_made() || std::isnan(one.value.mean)) continue;
    means.push_back(one.value.mean);
    low.push_back(one.range.low);
    high.push_back(one.range.high);
  }
  out.value = means.empty() ? Estimate{} : mean_estimate(means);
  if (means.empty()) return out;
  out.range = {plain_mean(low), plain_mean(high)};
  out.runs = std::move(means);
  return out;
}

/// A gap and, without exact samples, minus a lower bound are no two of a kind: gaps go first.
double mean_distance(std::span<const Evaluation> evaluations) {
  std::vector<double> gaps, others;
  for (const Evaluation& e : evaluations) {
    const bool has_gap = e.find("log_z.smc_upper").is_made() || e.find("log_z.sis_upper").is_made();
    (has_gap ? gaps : others).push_back(distance_from_target(e));
  }
  return plain_mean(gaps.empty() ? others : gaps);
}

/// The exact log Z of a target that is small enough; else NaN.
double enumerated_log_z(const smc::Problem& problem, std::int64_t T, double most) {
  const double n = std::pow(static_cast<double>(problem.lm.vocab_size()), static_cast<double>(T));
  if (n > most) return nan;
  exact::EnumerationOptions options;
  options.limit = static_cast<std::int64_t>(n);
  return exact::enumerate(problem.lm, problem.potential, problem.prompt, T, options).log_z();
}

}  // namespace

Evaluation mean_over(std::span<const Evaluation> all, std::int64_t Evaluation::*over) {
  TWISTOR_ASSERT(!all.empty(), "a mean over targets has some");
  Evaluation out;
  out.*over = static_cast<std::int64_t>(all.size());
  out.update = all.front().update;
  for (std::size_t i = 0; i < all.front().estimates.size(); ++i)
    out.estimates.push_back(mean_estimate_of(all, i));
  out.log_z = mean_log_z(all);
  if (out.log_z.method == LogZMethod::exact) out.known.exact_log_z = out.log_z.value;
  const auto mean = [&](double Evaluation::*member) {
    return plain_mean(each_of(all, [&](const Evaluation& e) { return e.*member; }));
  };
  out.mean_final_ess = mean(&Evaluation::mean_final_ess);
  out.mean_founders = mean(&Evaluation::mean_founders);
  out.mean_ess = mean_of_steps(all, &Evaluation::mean_ess);
  out.mean_survivors = mean_of_steps(all, &Evaluation::mean_survivors);
  out.log_q_error_mean = mean(&Evaluation::log_q_error_mean);
  out.log_q_error_largest = 0;
  if (over == &Evaluation::prompts) out.distance = mean_distance(all);
  for (const Evaluation& e : all) {
    out.log_q_error_largest = std::max(out.log_q_error_largest, e.log_q_error_largest);
    out.seconds += e.seconds;
    out.counters.add(e.counters);
  }
  return out;
}

std::optional<Evaluation> evaluate_observations(const smc::ConditionalProblem& problems,
                                                const twist::Twist& twist, const store::ExactSamples& pairs,
                                                const ObservationsOptions& options,
                                                const comm::Communicator& world, const comm::Groups& groups,
                                                std::vector<Findings>& found) {
  TWISTOR_ASSERT(pairs.has_observations() && pairs.n() > 0, "pairs have observations");
  const auto c = static_cast<std::size_t>(pairs.observations.shape[1]),
             T = static_cast<std::size_t>(pairs.length);
  const auto part = [](const std::vector<std::int64_t>& all, std::size_t i, std::size_t width) {
    return std::span(all).subspan(i * width, width);
  };
  const double most_enumerated = options.config.most_enumerated() / static_cast<double>(pairs.n());
  std::vector<Evaluation> evaluations;
  for (std::size_t i = 0; i < static_cast<std::size_t>(pairs.n()); ++i) {
    if (i == found.size()) found.emplace_back();
    const auto given = problems.given(part(pairs.observations.values, i, c));
    const smc::Problem& problem = given->problem();
    const smc::Proposal proposal(problem.lm, twist, options.proposal);
    const auto sample = part(pairs.tokens.values, i, T);
    const exact::Source exact{
        1, [&](std::int64_t) { return std::vector<std::int64_t>(sample.begin(), sample.end()); }};
    EvaluationOptions each = options.each;
    each.sweep.seed = derive_seed(each.sweep.seed, Stream::island, i);
    each.known.exact_log_z = enumerated_log_z(problem, pairs.length, most_enumerated);
    each.enumerate = options.config.enumerate_q && !std::isnan(each.known.exact_log_z);
    each.trace = false;
    each.steering.observer = [&](std::string_view what, std::int64_t done, std::int64_t wanted) {
      options.each.steering.observe(fmt::format("observation {} of {}, {}", i + 1, pairs.n(), what), done,
                                    wanted);
    };
    each.save = [&](const Findings&) {
      if (options.save) options.save(found);
    };
    std::optional<Evaluation> e = evaluate(problem, proposal, each, exact, world, groups, found[i]);
    if (!e) return std::nullopt;
    evaluations.push_back(*std::move(e));
  }
  return mean_over(evaluations, &Evaluation::observations);
}

std::vector<double> to_numbers(const std::vector<Findings>& found) {
  std::vector<double> out{static_cast<double>(found.size())};
  for (const Findings& one : found) {
    const std::vector<double> numbers = to_numbers(one);
    out.push_back(static_cast<double>(numbers.size()));
    out.insert(out.end(), numbers.begin(), numbers.end());
  }
  return out;
}

std::vector<Findings> list_of_findings(std::span<const double> x) {
  std::vector<Findings> out;
  if (x.empty()) return out;
  std::size_t at = 1;
  for (double i = 0; i < x[0]; ++i) {
    const std::size_t n = at < x.size() ? static_cast<std::size_t>(x[at]) : x.size();
    TWISTOR_CHECK(n < x.size() - at, ErrorKind::data, "resuming an evaluation",
                  "what was kept of it is cut short", "remove evaluation.partial.h5");
    out.push_back(findings_from_numbers(x.subspan(at + 1, n)));
    at += n + 1;
  }
  return out;
}

}  // namespace twistor::estimate
