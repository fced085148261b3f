// SPDX-License-Identifier: Apache-2.0
// The list of estimators, and what becomes of it.
#include "twistor/estimate/evaluation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/base/reproducible_sum.hpp"
#include "twistor/estimate/certainty.hpp"

namespace twistor::estimate {
namespace {

/// What one estimator makes. An estimate that cannot be made stays as it is here.
struct Made {
  Estimate value;
  std::vector<double> runs{};
  Interval range{};
  bool is_exact = false;
};

bool is_unknown(const std::vector<double>& x) {
  return std::ranges::all_of(x, [](double value) { return std::isnan(value); });
}

// Measured: what follows from the findings alone.

/// The mean over repeats. Where a repeat has found nothing (-inf), log of the mean of Z_hat, which is a lower
/// bound too: its mean cannot exceed log Z either, and infinities are not averaged.
template <double BoundRun::*member>
Made lower(const Findings& found, const KnownTarget&) {
  std::vector<double> runs = column(found.repeats, member);
  if (runs.empty()) return {};
  const bool all_live = std::ranges::count(runs, log_zero) == 0;
  const Estimate value = all_live ? mean_estimate(runs) : log_mean_exp_estimate(runs);
  return {value, std::move(runs)};
}

/// The mean over exact samples of the mean over the repeats that pin them.
template <double BoundRun::*member>
Made upper(const Findings& found, const KnownTarget& known) {
  std::vector<double> runs = column(found.repeats, member);
  if (runs.empty() || is_unknown(runs)) return {};
  const auto n = known.n_exact > 0 ? known.n_exact : static_cast<std::int64_t>(runs.size());
  const Estimate value = clustered_mean_estimate(runs, n);
  return {value, std::move(runs)};
}

/// log of the mean of Z_hat.
template <double BoundRun::*member>
Made log_mean_z(const Findings& found, const KnownTarget&) {
  const std::vector<double> runs = column(found.repeats, member);
  return runs.empty() ? Made{} : Made{log_mean_exp_estimate(runs)};
}

Made by_rejection(const Findings&, const KnownTarget& known) {
  if (!known.rejection || known.rejection->n_accepted == 0) return {};
  const LogZ z = rejection_log_z(*known.rejection);
  return {{z.value, z.se, known.rejection->n_accepted}, {}, {z.low, z.high}};
}

Made exactly(double value, const Findings& found) {
  return {{value, 0, static_cast<std::int64_t>(found.exact->n_sequences)}, {}, {}, true};
}

/// What enumeration of q gives, else the mean over its samples.
template <double ProposalSample::*sampled, double ExactDivergences::*summed>
Made over_q(const Findings& found, const KnownTarget&) {
  if (found.exact) return exactly((*found.exact).*summed, found);
  return found.q.empty() ? Made{} : Made{mean_estimate(column(found.q, sampled))};
}

Made g_q(const Findings& found, const KnownTarget&) {
  if (found.exact) return exactly(found.exact->g_q, found);
  return found.g.empty() ? Made{} : Made{mean_estimate(found.g)};
}

// Derived: what follows from these and from log Z, with the errors of both.

/// KL(q || sigma) = log Z - F_q. A q that draws what phi forbids has F_q = -inf and an infinite divergence,
/// whatever log Z is.
Made kl_q_sigma(const Evaluation& e) {
  const Estimate& f = e["proposal.f_q"];
  if (f.n == 0) return {};
  if (f.mean == log_zero) return {{-log_zero, nan, f.n}, {}, {-log_zero, -log_zero}};
  return {{e.log_z.value - f.mean, std::hypot(f.se, e.log_z.se), f.n},
          {},
          {e.log_z.low - f.mean, e.log_z.high - f.mean},
          e.find("proposal.f_q").is_exact && e.log_z.is_exact()};
}

/// KL(sigma || q) = G_q - log Z.
Made kl_sigma_q(const Evaluation& e) {
  const Estimate& g = e["proposal.g_q"];
  if (g.n == 0) return {};
  return {{g.mean - e.log_z.value, std::hypot(g.se, e.log_z.se), g.n},
          {},
          {g.mean - e.log_z.high, g.mean - e.log_z.low},
          e.find("proposal.g_q").is_exact && e.log_z.is_exact()};
}

/// Their sum, free of log Z.
Made kl_symmetrised(const Evaluation& e) {
  const Estimate &f = e["proposal.f_q"], &g = e["proposal.g_q"];
  if (f.n == 0 || g.n == 0) return {};
  return {{g.mean - f.mean, std::hypot(g.se, f.se), std::min(g.n, f.n)},
          {},
          {},
          e.find("proposal.f_q").is_exact && e.find("proposal.g_q").is_exact};
}

struct Estimator {
  std::string_view name, title;
  int row;     // in tables whose columns are evaluations; 0: not shown
  int column;  // in tables whose rows are evaluations; 0: not shown
  Made (*measured)(const Findings&, const KnownTarget&);  // pure, or null
  Made (*derived)(const Evaluation&) = nullptr;           // pure, or null
};

constexpr Estimator estimators[] = {
    {"log_z.sis_lower", "log Z, SIS lower bound", 3, 7, lower<&BoundRun::sis_lower>},
    {"log_z.sis_upper", "log Z, SIS upper bound", 4, 8, upper<&BoundRun::sis_upper>},
    {"log_z.smc_lower", "log Z, SMC lower bound", 1, 0, lower<&BoundRun::smc_lower>},
    {"log_z.smc_upper", "log Z, SMC upper bound", 2, 0, upper<&BoundRun::smc_upper>},
    {"log_z.sis_mean", "log Z, mean of SIS runs", 0, 0, log_mean_z<&BoundRun::sis_lower>},
    {"log_z.smc_mean", "log Z, mean of SMC runs", 0, 0, log_mean_z<&BoundRun::smc_lower>},
    {"log_z.rejection", "log Z, rejection", 0, 0, by_rejection},
    {"kl.q_sigma", "KL(q || sigma)", 5, 1, nullptr, kl_q_sigma},
    {"kl.sigma_q", "KL(sigma || q)", 6, 2, nullptr, kl_sigma_q},
    {"kl.symmetrised", "KL, symmetrised", 0, 0, nullptr, kl_symmetrised},
    {"proposal.f_q", "F_q", 0, 5, over_q<&ProposalSample::ratio, &ExactDivergences::f_q>},
    {"proposal.g_q", "G_q", 0, 6, g_q},
    {"proposal.log_phi", "E_q[log phi]", 0, 4, over_q<&ProposalSample::log_phi, &ExactDivergences::log_phi>},
    {"proposal.kl_q_p0", "KL(q || p0)", 0, 3, over_q<&ProposalSample::kl_q_p0, &ExactDivergences::kl_q_p0>},
};

/// Over what is known of it; NaN if nothing is.
double mean_of(std::vector<double> x) {
  std::erase_if(x, [](double value) { return std::isnan(value); });
  return x.empty() ? nan : std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
}

std::vector<double> mean_by_step(const std::vector<BoundRun>& runs, std::vector<double> BoundRun::*member) {
  std::vector<double> out;
  for (std::size_t t = 0; !runs.empty() && t < (runs.front().*member).size(); ++t) {
    FixedPointSum sum;
    for (const BoundRun& run : runs) sum.add((run.*member)[t]);
    out.push_back(sum.value() / static_cast<double>(runs.size()));
  }
  return out;
}

/// visit(name, number) for the numbers beside the estimates.
template <class E, class Visit>
void for_each_number(E& e, Visit visit) {
  visit("log_z.exact", e.known.exact_log_z);
  visit("log_z.estimate.value", e.log_z.value);
  visit("log_z.estimate.se", e.log_z.se);
  visit("log_z.estimate.low", e.log_z.low);
  visit("log_z.estimate.high", e.log_z.high);
  visit("log_z.certified.low", e.certified_log_z.low);
  visit("log_z.certified.high", e.certified_log_z.high);
  visit("probability.value", e.probability.value);
  visit("probability.low", e.probability.range.low);
  visit("probability.high", e.probability.range.high);
  visit("final_ess", e.mean_final_ess);
  visit("founders", e.mean_founders);
  visit("genealogical_variance", e.genealogical_variance);
  visit("sample_variance", e.sample_variance);
  visit("log_q_error.largest", e.log_q_error_largest);
  visit("log_q_error.mean", e.log_q_error_mean);
  visit("distance", e.distance);
  visit("seconds", e.seconds);
}

/// visit(name, numbers by step).
template <class E, class Visit>
void for_each_row(E& e, Visit visit) {
  visit("ess", e.mean_ess);
  visit("unique_ancestors", e.mean_survivors);
}

}  // namespace

std::string_view NamedEstimate::note() const {
  if (!is_made()) return {};
  if (value.mean == -log_zero && (name == "kl.sigma_q" || name == "proposal.g_q" || name.ends_with("_upper")))
    return "support cut";
  if (is_exact) return "exact";
  if (value.n == 1 && (name.ends_with("_upper") || name == "proposal.g_q")) return "one exact sample";
  if (!name.starts_with("kl.") || std::isinf(value.mean)) return {};
  if (std::isfinite(range.low) && !std::isfinite(range.high)) return "lower bound";
  if (!std::isfinite(range.low) && std::isfinite(range.high)) return "upper bound";
  return {};
}

const NamedEstimate& Evaluation::find(std::string_view name) const {
  const auto found = std::ranges::find(estimates, name, &NamedEstimate::name);
  TWISTOR_ASSERT(found != estimates.end(), fmt::format("an evaluation has an estimate '{}'", name));
  return *found;
}

void use_log_z(Evaluation& e, const LogZ& log_z) {
  e.log_z = log_z;
  for (std::size_t i = 0; i < std::size(estimators); ++i) {
    if (estimators[i].derived == nullptr) continue;
    Made made = estimators[i].derived(e);
    e.estimates[i].value = made.value;
    e.estimates[i].range = made.range;
    e.estimates[i].is_exact = made.is_exact;
  }
}

void share_log_z(std::span<Evaluation* const> evaluations) {
  const std::vector<const Evaluation*> all(evaluations.begin(), evaluations.end());
  const LogZ best = best_log_z(all);
  for (Evaluation* e : evaluations)
    if (e != nullptr && !e->is_mean()) use_log_z(*e, best);
}

Evaluation make_evaluation(const Findings& found, const KnownTarget& known) {
  const std::vector<BoundRun>& runs = found.repeats;
  Evaluation e;
  e.known = known;
  for (const Estimator& estimator : estimators) {
    Made made = estimator.measured != nullptr ? estimator.measured(found, known) : Made{};
    e.estimates.push_back({estimator.name, estimator.title, estimator.row, made.value, std::move(made.runs),
                           made.range, made.is_exact, estimator.column});
  }
  const Evaluation* const alone[] = {&e};
  use_log_z(e, best_log_z(alone));
  const std::vector<double> smc_lower = column(runs, &BoundRun::smc_lower);
  const std::vector<double> smc_upper = column(runs, &BoundRun::smc_upper);
  e.certified_log_z = certified_log_z(smc_lower, smc_upper, known.n_exact);
  if (known.is_event && !known.may_cut_support)
    e.probability = missed_by_smc(e) > 0 ? probability_of(column(runs, &BoundRun::sis_lower),
                                                          column(runs, &BoundRun::sis_upper), known)
                                         : probability_of(smc_lower, smc_upper, known);
  // A mean below zero is noise around a variance that is too small to be seen.
  if (const double v = mean_of(column(runs, &BoundRun::variance)); v > 0) e.genealogical_variance = v;
  if (runs.size() > 1) {
    const Estimate mean = mean_estimate(smc_lower);
    e.sample_variance = mean.se * mean.se * static_cast<double>(mean.n);
  }
  e.mean_final_ess = mean_of(column(runs, &BoundRun::final_ess));
  e.mean_founders = mean_of(column(runs, &BoundRun::founders));
  e.mean_ess = mean_by_step(runs, &BoundRun::ess);
  e.mean_survivors = mean_by_step(runs, &BoundRun::survivors);
  e.q = found.q;
  e.g = found.g;
  if (const std::vector<double> errors = column(found.q, &ProposalSample::log_q_error); !errors.empty()) {
    e.log_q_error_largest = *std::ranges::max_element(errors);
    e.log_q_error_mean = mean_of(errors);
  }
  return e;
}

double distance_from_target(const Evaluation& e) {
  if (!std::isnan(e.distance)) return e.distance;
  double gap = std::numeric_limits<double>::infinity(), lower = -gap;
  for (const std::string pair : {"log_z.sis_", "log_z.smc_"}) {
    const NamedEstimate &below = e.find(pair + "lower"), &above = e.find(pair + "upper");
    if (below.is_made()) lower = std::max(lower, below.value.mean);
    if (below.is_made() && above.is_made())
      gap = std::min(gap, std::abs(above.value.mean - below.value.mean));
  }
  return std::isinf(gap) ? -lower : gap;
}

std::map<std::string, double> to_numbers(const Evaluation& e, const std::string& prefix) {
  std::map<std::string, double> out;
  const auto add = [&](const std::string& name, double value) {
    if (!std::isnan(value)) out[prefix + "." + name] = value;
  };
  for (const NamedEstimate& estimate : e.estimates) {
    const std::string name(estimate.name);
    add(name + ".mean", estimate.value.mean);
    add(name + ".se", estimate.value.se);
    add(name + ".n", static_cast<double>(estimate.value.n));
    add(name + ".low", estimate.range.low);
    add(name + ".high", estimate.range.high);
    if (estimate.is_exact) add(name + ".exact", 1);
  }
  for_each_number(e, add);
  for_each_row(e, [&](const char* name, const std::vector<double>& row) {
    for (std::size_t t = 0; t < row.size(); ++t) add(fmt::format("{}.{}", name, t), row[t]);
  });
  add("update", static_cast<double>(e.update));
  if (e.observations > 0) add("observations", static_cast<double>(e.observations));
  if (e.prompts > 0) add("prompts", static_cast<double>(e.prompts));
  if (e.seeds > 0) add("seeds", static_cast<double>(e.seeds));
  return out;
}

std::optional<Evaluation> evaluation_from_numbers(const std::map<std::string, double>& numbers,
                                                  const std::string& prefix) {
  if (!numbers.contains(prefix + ".update")) return std::nullopt;
  const auto number = [&](const std::string& name, double otherwise = nan) {
    const auto found = numbers.find(prefix + "." + name);
    return found == numbers.end() ? otherwise : found->second;
  };
  Evaluation e;
  for (const Estimator& estimator : estimators) {
    const std::string name(estimator.name);
    e.estimates.push_back(
        {estimator.name,
         estimator.title,
         estimator.row,
         {number(name + ".mean"), number(name + ".se"), static_cast<std::int64_t>(number(name + ".n", 0))},
         {},
         {number(name + ".low"), number(name + ".high")},
         number(name + ".exact", 0) == 1,
         estimator.column});
  }
  for_each_number(e, [&](const std::string& name, double& value) { value = number(name); });
  for_each_row(e, [&](const char* name, std::vector<double>& row) {
    for (std::size_t t = 0; numbers.contains(fmt::format("{}.{}.{}", prefix, name, t)); ++t)
      row.push_back(number(fmt::format("{}.{}", name, t)));
  });
  e.update = static_cast<std::int64_t>(number("update"));
  e.observations = static_cast<std::int64_t>(number("observations", 0));
  e.prompts = static_cast<std::int64_t>(number("prompts", 0));
  e.seeds = static_cast<std::int64_t>(number("seeds", 0));
  return e;
}

std::vector<double> to_row(const Evaluation& e) {
  std::vector<double> out{static_cast<double>(e.update), static_cast<double>(e.log_z.method),
                          static_cast<double>(e.probability.method)};
  for (const NamedEstimate& x : e.estimates)
    out.insert(out.end(), {x.value.mean, x.value.se, static_cast<double>(x.value.n), x.range.low,
                           x.range.high, x.is_exact ? 1.0 : 0.0});
  for_each_number(e, [&](const char*, double value) { out.push_back(value); });
  for_each_row(e, [&](const char*, const std::vector<double>& row) {
    out.push_back(static_cast<double>(row.size()));
    out.insert(out.end(), row.begin(), row.end());
  });
  return out;
}

Evaluation evaluation_from_row(std::span<const double> row) {
  std::size_t at = 0;
  const auto next = [&] {
    TWISTOR_CHECK(at < row.size(), ErrorKind::data, "reading an evaluation", "it is cut short");
    return row[at++];
  };
  Evaluation e;
  e.update = static_cast<std::int64_t>(next());
  e.log_z.method = static_cast<LogZMethod>(next());
  e.probability.method = static_cast<LogZMethod>(next());
  for (const Estimator& estimator : estimators) {
    NamedEstimate& x = e.estimates.emplace_back();
    x = {estimator.name, estimator.title, estimator.row, {}, {}, {}, false, estimator.column};
    x.value = {next(), next(), static_cast<std::int64_t>(next())};
    x.range = {next(), next()};
    x.is_exact = next() != 0;
  }
  for_each_number(e, [&](const char*, double& value) { value = next(); });
  for_each_row(e, [&](const char*, std::vector<double>& values) {
    for (double n = next(); n > 0; --n) values.push_back(next());
  });
  return e;
}

}  // namespace twistor::estimate
