// The list of estimators, and what becomes of it.
#include "twistor/estimate/evaluation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "twistor/base/error.hpp"
#include "twistor/base/reproducible_sum.hpp"

namespace twistor::estimate {
namespace {

/// What one estimator makes of the findings. An estimate that cannot be made stays as it is here.
struct Made {
  Estimate value;
  std::vector<double> runs;
};

bool is_unknown(const std::vector<double>& x) {
  return std::ranges::all_of(x, [](double value) { return std::isnan(value); });
}

/// The mean over repeats. Upper bounds are NaN throughout where there were no exact samples.
template <double BoundRun::*member>
Made bound(const Findings& found, double) {
  std::vector<double> runs = column(found.repeats, member);
  if (is_unknown(runs)) return {};
  const Estimate mean = mean_estimate(runs);
  return {mean, std::move(runs)};
}

/// The mean over samples of q.
template <double ProposalSample::*member>
Made over_q(const Findings& found, double) {
  return {mean_estimate(column(found.q, member)), {}};
}

/// F_q = E_q[log p0 phi / q] and G_q = E_sigma[the same].
constexpr auto f_q = over_q<&ProposalSample::ratio>;
Made g_q(const Findings& found, double) {
  return found.g.empty() ? Made{} : Made{mean_estimate(found.g), {}};
}

/// KL(q || sigma) = log Z - F_q, KL(sigma || q) = G_q - log Z and their sum. se as F_q's and G_q's: log Z is
/// taken as known.
Made kl_q_sigma(const Findings& found, double log_z) {
  const Estimate f = f_q(found, log_z).value;
  return {{log_z - f.mean, f.se, f.n}, {}};
}
Made kl_sigma_q(const Findings& found, double log_z) {
  const Estimate g = g_q(found, log_z).value;
  return g.n == 0 ? Made{} : Made{{g.mean - log_z, g.se, g.n}, {}};
}
Made kl_symmetrised(const Findings& found, double log_z) {
  const Estimate f = f_q(found, log_z).value, g = g_q(found, log_z).value;
  return g.n == 0 ? Made{} : Made{{g.mean - f.mean, std::hypot(g.se, f.se), std::min(g.n, f.n)}, {}};
}

struct Estimator {
  std::string_view name, title;
  int row;                                    // in tables; 0: not shown
  Made (*of)(const Findings&, double log_z);  // pure; log_z is best_log_z()
};

constexpr Estimator estimators[] = {
    {"log_z.sis_lower", "log Z, SIS lower bound", 3, bound<&BoundRun::sis_lower>},
    {"log_z.sis_upper", "log Z, SIS upper bound", 4, bound<&BoundRun::sis_upper>},
    {"log_z.smc_lower", "log Z, SMC lower bound", 1, bound<&BoundRun::smc_lower>},
    {"log_z.smc_upper", "log Z, SMC upper bound", 2, bound<&BoundRun::smc_upper>},
    {"kl.q_sigma", "KL(q || sigma)", 5, kl_q_sigma},
    {"kl.sigma_q", "KL(sigma || q)", 6, kl_sigma_q},
    {"kl.symmetrised", "KL, symmetrised", 0, kl_symmetrised},
    {"proposal.f_q", "F_q", 0, f_q},
    {"proposal.g_q", "G_q", 0, g_q},
    {"proposal.log_phi", "E_q[log phi]", 0, over_q<&ProposalSample::log_phi>},
    {"proposal.kl_q_p0", "KL(q || p0)", 0, over_q<&ProposalSample::kl_q_p0>},
};

double mean_of(const std::vector<double>& x) {
  return std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
}

/// visit(name, number) for the numbers beside the estimates.
template <class E, class Visit>
void for_each_number(E& e, Visit visit) {
  visit("log_z.exact", e.exact_log_z);
  visit("final_ess", e.mean_final_ess);
  visit("genealogical_variance", e.genealogical_variance);
  visit("seconds", e.seconds);
}

}  // namespace

const Estimate& Evaluation::operator[](std::string_view name) const {
  const auto found = std::ranges::find(estimates, name, &NamedEstimate::name);
  TWISTOR_ASSERT(found != estimates.end(), fmt::format("an evaluation has an estimate '{}'", name));
  return found->value;
}

double best_log_z(const Findings& found, double exact) {
  if (!std::isnan(exact)) return exact;
  const auto mean = [&](double BoundRun::*member) {
    const std::vector<double> runs = column(found.repeats, member);
    return is_unknown(runs) ? Estimate{}.mean : mean_estimate(runs).mean;
  };
  const double sis_lower = mean(&BoundRun::sis_lower), smc_lower = mean(&BoundRun::smc_lower),
               sis_upper = mean(&BoundRun::sis_upper), smc_upper = mean(&BoundRun::smc_upper);
  if (std::isnan(smc_upper)) return std::max(sis_lower, smc_lower);
  return smc_upper - smc_lower <= sis_upper - sis_lower ? 0.5 * (smc_lower + smc_upper)
                                                        : 0.5 * (sis_lower + sis_upper);
}

Evaluation make_evaluation(const Findings& found, double exact_log_z) {
  const std::vector<BoundRun>& runs = found.repeats;
  Evaluation e;
  e.exact_log_z = exact_log_z;
  const double log_z = best_log_z(found, exact_log_z);
  for (const Estimator& estimator : estimators) {
    Made made = estimator.of(found, log_z);
    e.estimates.push_back({estimator.name, estimator.title, estimator.row, made.value, std::move(made.runs)});
  }
  e.genealogical_variance = mean_of(column(runs, &BoundRun::variance));
  e.mean_final_ess = mean_of(column(runs, &BoundRun::final_ess));
  for (std::size_t t = 0; !runs.empty() && t < runs.front().ess.size(); ++t) {
    FixedPointSum sum;
    for (const BoundRun& run : runs) sum.add(run.ess[t]);
    e.mean_ess.push_back(sum.value() / static_cast<double>(runs.size()));
  }
  return e;
}

std::map<std::string, double> to_numbers(const Evaluation& e, const std::string& prefix) {
  std::map<std::string, double> out;
  for (const NamedEstimate& estimate : e.estimates) {
    const std::string key = fmt::format("{}.{}", prefix, estimate.name);
    out[key + ".mean"] = estimate.value.mean;
    out[key + ".se"] = estimate.value.se;
    out[key + ".n"] = static_cast<double>(estimate.value.n);
  }
  for_each_number(e, [&](const char* name, double number) { out[prefix + "." + name] = number; });
  out[prefix + ".update"] = static_cast<double>(e.update);
  for (std::size_t t = 0; t < e.mean_ess.size(); ++t)
    out[fmt::format("{}.ess.{}", prefix, t)] = e.mean_ess[t];
  return out;
}

std::optional<Evaluation> evaluation_from_numbers(const std::map<std::string, double>& numbers,
                                                  const std::string& prefix) {
  if (!numbers.contains(prefix + ".update")) return std::nullopt;
  const auto number = [&](const std::string& name, double otherwise) {
    const auto found = numbers.find(prefix + "." + name);
    return found == numbers.end() ? otherwise : found->second;
  };
  Evaluation e;
  for (const Estimator& estimator : estimators) {
    const std::string name(estimator.name);
    const Estimate none;
    e.estimates.push_back({estimator.name,
                           estimator.title,
                           estimator.row,
                           {number(name + ".mean", none.mean), number(name + ".se", none.se),
                            static_cast<std::int64_t>(number(name + ".n", 0))},
                           {}});
  }
  for_each_number(e, [&](const char* name, double& value) { value = number(name, value); });
  e.update = static_cast<std::int64_t>(number("update", 0));
  for (std::size_t t = 0; numbers.contains(fmt::format("{}.ess.{}", prefix, t)); ++t)
    e.mean_ess.push_back(number(fmt::format("ess.{}", t), 0));
  return e;
}

}  // namespace twistor::estimate
