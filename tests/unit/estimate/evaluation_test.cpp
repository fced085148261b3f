// SPDX-License-Identifier: Apache-2.0
// Evaluations as numbers and back, and the estimates of findings that are worked out by hand.
#include "twistor/estimate/evaluation.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <set>

#include "twistor/base/error.hpp"
#include "twistor/estimate/draws.hpp"

namespace twistor::estimate {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// Two repeats, three samples of q and two of sigma.
Findings findings() {
  Findings found;
  found.repeats = {{-3, 1, -2, -1, 0.5, 4, {8, 4}, 3, {8, 5}},
                   {-5, 3, -2.5, -0.5, 1.5, 6, {6, 2}, 4, {8, 6}}};
  found.q = {{-2, 0.5, 1, 0}, {-3, 1, 2, 0.25}, {-4, 1.5, 3, 0.125}};
  found.g = {-1, 0};
  return found;
}

Evaluation evaluation(const Findings& found, double exact_log_z = std::nan("")) {
  return make_evaluation(found, {.exact_log_z = exact_log_z});
}

TEST(Evaluation, IsWhatFollowsFromTheFindings) {
  const Evaluation e = evaluation(findings());
  EXPECT_EQ(e["log_z.sis_lower"].mean, -4);
  EXPECT_EQ(e["log_z.sis_upper"].mean, 2);
  EXPECT_EQ(e["log_z.smc_lower"].mean, -2.25);
  EXPECT_EQ(e["log_z.smc_upper"].mean, -0.75);
  EXPECT_NEAR(e["log_z.smc_mean"].mean, std::log((std::exp(-2) + std::exp(-2.5)) / 2), 1e-15);
  EXPECT_EQ(e["proposal.f_q"].mean, -3);
  EXPECT_EQ(e["proposal.g_q"].mean, -0.5);
  EXPECT_EQ(e.g, (std::vector<double>{-1, 0}));
  EXPECT_EQ(e["proposal.log_phi"].mean, 1);
  EXPECT_EQ(e["proposal.kl_q_p0"].mean, 2);
  EXPECT_EQ(e["kl.symmetrised"].mean, 2.5);
  EXPECT_NEAR(e["kl.symmetrised"].se, std::sqrt(1.0 / 3 + 0.25), 1e-15);
  EXPECT_EQ(e["kl.symmetrised"].n, 2);
  EXPECT_EQ(e.genealogical_variance, 1);
  EXPECT_DOUBLE_EQ(e.sample_variance, 0.125);
  EXPECT_EQ(e.mean_final_ess, 5);
  EXPECT_EQ(e.mean_ess, (std::vector<double>{7, 3}));
  EXPECT_EQ(e.mean_founders, 3.5);
  EXPECT_EQ(e.mean_survivors, (std::vector<double>{8, 5.5}));
  EXPECT_EQ(e.log_q_error_largest, 0.25);
  EXPECT_EQ(e.log_q_error_mean, 0.125);
  EXPECT_EQ(e.probability.method, LogZMethod::none);
  EXPECT_THROW((void)e["log_z.none"], Error);
}

// The midpoint of the SMC bounds, -1.5: the gap is 1.5 with a standard error of hypot(0.25, 0.25); half of
// both is the value's error, and the divergences carry it.
TEST(Evaluation, DivergencesCarryTheErrorOfLogZAndItsRange) {
  const Evaluation e = evaluation(findings());
  EXPECT_EQ(e.log_z.method, LogZMethod::smc_midpoint);
  EXPECT_EQ(e.log_z.value, -1.5);
  EXPECT_EQ(e.log_z.low, -2.25);
  EXPECT_EQ(e.log_z.high, -0.75);
  EXPECT_NEAR(e.log_z.se, 0.5 * std::sqrt(1.5 * 1.5 + 0.125), 1e-15);
  const NamedEstimate &q_sigma = e.find("kl.q_sigma"), &sigma_q = e.find("kl.sigma_q");
  EXPECT_EQ(q_sigma.value.mean, 1.5);
  EXPECT_NEAR(q_sigma.value.se, std::hypot(std::sqrt(1.0 / 3), e.log_z.se), 1e-15);
  EXPECT_EQ(q_sigma.range.low, 0.75);  // [LB - F_q, UB - F_q]
  EXPECT_EQ(q_sigma.range.high, 2.25);
  EXPECT_EQ(sigma_q.value.mean, 1);
  EXPECT_NEAR(sigma_q.value.se, std::hypot(0.5, e.log_z.se), 1e-15);
  EXPECT_EQ(sigma_q.range.low, 0.25);  // [G_q - UB, G_q - LB]
  EXPECT_EQ(sigma_q.range.high, 1.75);
  const Evaluation exact = evaluation(findings(), -2);
  EXPECT_EQ(exact["kl.q_sigma"].mean, 1);
  EXPECT_NEAR(exact["kl.q_sigma"].se, std::sqrt(1.0 / 3), 1e-15);
  EXPECT_EQ(exact.log_z.method, LogZMethod::exact);
}

TEST(Evaluation, EnumeratedDivergencesAreExact) {
  Findings found = findings();
  found.exact = ExactDivergences{-3.5, -1, 0.75, 2.25, 1, 48};
  const Evaluation e = evaluation(found, -2);
  for (const auto& [name, value] : {std::pair{"proposal.f_q", -3.5},
                                    {"proposal.g_q", -1.0},
                                    {"proposal.log_phi", 0.75},
                                    {"proposal.kl_q_p0", 2.25},
                                    {"kl.q_sigma", 1.5},
                                    {"kl.sigma_q", 1.0},
                                    {"kl.symmetrised", 2.5}}) {
    EXPECT_EQ(e[name].mean, value) << name;
    EXPECT_TRUE(e.find(name).is_exact) << name;
    EXPECT_EQ(e[name].n, 48) << name;
  }
  EXPECT_EQ(e.log_q_error_largest, 0.25) << "the samples of q are looked at all the same";
  const Evaluation back = evaluation_from_numbers(to_numbers(e, "x"), "x").value();
  EXPECT_EQ(back.find("kl.q_sigma").note(), "exact");
  // Samples that happen to be equal are no enumeration.
  Findings equal = findings();
  equal.q = {{-2, 0, 1, 0}, {-2, 0, 1, 0}};
  EXPECT_EQ(evaluation(equal, -2)["kl.q_sigma"].se, 0);
  EXPECT_EQ(evaluation(equal, -2).find("kl.q_sigma").note(), "");
}

// A gap of -0.1 with large errors is no better than one of 0.2 with small ones.
TEST(LogZ, IsOfTheTighterSandwichByItsGapAndItsError) {
  Findings found = findings();
  found.repeats = {{-2.2, -2.0, -2, -2.1, 0, 1, {}, 1, {}}, {-2.2, -2.0, -1, -1.1, 0, 1, {}, 1, {}}};
  Evaluation e = evaluation(found);
  EXPECT_EQ(e.log_z.method, LogZMethod::sis_midpoint);
  EXPECT_NEAR(e.log_z.value, -2.1, 1e-15);
  EXPECT_LT(e.log_z.low, e.log_z.high);
  // A gap that is negative by much is no good one.
  found.repeats = {{-1, -3, -2, -1, 0, 1, {}, 1, {}}, {-1, -3, -2, -1, 0, 1, {}, 1, {}}};
  e = evaluation(found);
  EXPECT_EQ(e.log_z.method, LogZMethod::smc_midpoint);
}

TEST(LogZ, IsOneForAllColumnsOfARun) {
  Evaluation before = evaluation(findings());
  Findings better = findings();
  better.repeats = {{-3, 1, -1.9, -1.8, 0, 1, {}, 1, {}}, {-3, 1, -1.9, -1.8, 0, 1, {}, 1, {}}};
  Evaluation after = evaluation(better);
  share_log_z({&before, nullptr, &after});
  EXPECT_NEAR(before.log_z.value, -1.85, 1e-15);
  EXPECT_EQ(after.log_z.value, before.log_z.value);
  EXPECT_NEAR(before["kl.q_sigma"].mean, 1.15, 1e-15);
  EXPECT_EQ(before["kl.q_sigma"].mean - after["kl.q_sigma"].mean,
            after["proposal.f_q"].mean - before["proposal.f_q"].mean)
      << "progress is that of F_q alone";
  Evaluation given = make_evaluation(findings(), {.given_log_z = -7, .exact_log_z = -2});
  EXPECT_EQ(given.log_z.value, -7);
  EXPECT_EQ(given.log_z.method, LogZMethod::given);
}

/// Eight repeats whose log Z_hat without and with resampling alternate between two values; no exact samples.
Findings one_sided(std::array<double, 2> sis, std::array<double, 2> smc) {
  Findings found;
  for (std::size_t i = 0; i < 8; ++i)
    found.repeats.push_back({sis[i % 2], nan, smc[i % 2], nan, nan, 8, {8}, 8, {8}});
  found.q = {{-13, -1, 0, 0}, {-12, -1, 0, 0}};
  return found;
}

// Runs that miss a mode agree with one another: their error says nothing of it, but other runs contradict.
TEST(LogZ, IsNotOfRunsThatMissWhatOthersShow) {
  const Evaluation e = make_evaluation(one_sided({-10.6, -10.7}, {-10.94, -10.96}), {.is_event = true});
  EXPECT_EQ(e.log_z.method, LogZMethod::mean_z_hat);
  EXPECT_EQ(e.log_z.value, e["log_z.sis_mean"].mean);
  EXPECT_EQ(e.log_z.low, e["log_z.sis_lower"].mean);
  EXPECT_NEAR(missed_by_smc(e),
              -10.65 - half_width_95(e["log_z.sis_lower"]) - e["log_z.smc_mean"].mean -
                  half_width_95(e["log_z.smc_mean"]),
              1e-12);
  EXPECT_GT(e.probability.range.low, std::exp(-10.75));
  EXPECT_NEAR(e.probability.value, std::exp(e["log_z.sis_mean"].mean), 1e-18);
  // Where they agree within their errors, that with the smaller error counts, and P(event) is SMC's.
  const Evaluation agree = make_evaluation(one_sided({-10.6, -11.2}, {-10.94, -10.96}), {.is_event = true});
  EXPECT_EQ(missed_by_smc(agree), 0);
  EXPECT_EQ(agree.log_z.value, agree["log_z.smc_mean"].mean);
  EXPECT_NEAR(agree.probability.value, std::exp(agree["log_z.smc_mean"].mean), 1e-18);
  // Exact twists: all runs are one number but for rounding.
  EXPECT_EQ(missed_by_smc(make_evaluation(one_sided({-10.6, -10.6}, {-10.6 - 1e-12, -10.6 - 1e-12}), {})), 0);
}

// One of eight runs of the base model has met the event by chance: the log of their mean is high, and no
// bound.
TEST(LogZ, IsNotBoundedByOneLuckyRun) {
  Findings lucky = one_sided({-infinity, -infinity}, {-infinity, -infinity});
  lucky.repeats[3].sis_lower = -6;
  Evaluation base = make_evaluation(lucky, {.is_event = true}),
             after = make_evaluation(one_sided({-10.6, -10.7}, {-10.6, -10.7}), {.is_event = true});
  EXPECT_NEAR(base["log_z.sis_lower"].mean, -6 - std::log(8), 1e-12);
  share_log_z({&base, &after});
  EXPECT_EQ(after.log_z.low, after["log_z.smc_lower"].mean);
  EXPECT_EQ(after.log_z.value, after["log_z.smc_mean"].mean);
  EXPECT_EQ(base.log_z.value, after.log_z.value);
}

// Rejection: 25 of 1000 with a bound of 2, se of the logarithm sqrt(0.975 / 25).
TEST(LogZ, RejectionCountsWhereItKnowsBetter) {
  KnownTarget known;
  known.rejection = {1000, 25, std::log(2.0), false};
  const double value = std::log(0.05), se = std::sqrt(0.975 / 25);
  Evaluation e = make_evaluation(findings(), known);
  EXPECT_EQ(e.log_z.method, LogZMethod::rejection);
  EXPECT_NEAR(e.log_z.value, value, 1e-15);
  EXPECT_NEAR(e.log_z.se, se, 1e-15);
  EXPECT_NEAR(e["kl.q_sigma"].mean, value + 3, 1e-15);
  EXPECT_NEAR(e["kl.q_sigma"].se, std::hypot(std::sqrt(1.0 / 3), se), 1e-15);
  EXPECT_EQ(e["log_z.rejection"].n, 25);
  // Bounds that leave less doubt go before it.
  Findings tight = findings();
  tight.repeats = {{-3, 1, -3, -2.99, 0, 1, {}, 1, {}}, {-3, 1, -3, -2.99, 0, 1, {}, 1, {}}};
  EXPECT_EQ(make_evaluation(tight, known).log_z.method, LogZMethod::smc_midpoint);
  // Nothing accepted: no value, but an upper end, 1 - 0.025^(1/N) times the bound.
  const LogZ none = rejection_log_z({1000, 0, std::log(2.0), false});
  EXPECT_TRUE(std::isnan(none.value));
  EXPECT_EQ(none.low, -infinity);
  EXPECT_NEAR(none.high, std::log(2 * (1 - std::pow(0.025, 1e-3))), 1e-10);
}

/// No number of an evaluation may be NaN where it is written.
void expect_no_nan(const Evaluation& e) {
  for (const auto& [name, value] : to_numbers(e, "x")) EXPECT_FALSE(std::isnan(value)) << name;
}

// An event that no particle of q has seen: everything is -inf but for exact samples.
TEST(Infinities, AreValuesWithAMeaningAndAreNeverAveraged) {
  Findings found = findings();
  found.repeats = {{-infinity, -9, -infinity, -9.5, std::nan(""), 0, {8, 0}, 8, {8, 8}},
                   {-infinity, -9, -infinity, -9.5, std::nan(""), 0, {8, 0}, 8, {8, 8}}};
  found.q = {{-infinity, -infinity, 0, 0}, {-infinity, -infinity, 0, 0}};
  found.g = {0, 0};
  KnownTarget known;
  known.is_event = true;
  known.rejection = {1'000'000, 32, 0, true};
  Evaluation e = make_evaluation(found, known);
  EXPECT_EQ(e["log_z.smc_lower"].mean, -infinity);
  EXPECT_EQ(e.log_z.method, LogZMethod::rejection);
  EXPECT_EQ(e["kl.q_sigma"].mean, infinity);
  EXPECT_NEAR(e["kl.sigma_q"].mean, -std::log(32e-6), 1e-12);
  EXPECT_EQ(e.probability.method, LogZMethod::rejection);
  EXPECT_NEAR(e.probability.value, 32e-6, 1e-18);
  expect_no_nan(e);
  // Without rejection: one-sided statements from the upper bound, the better one of the two.
  e = evaluation(found);
  EXPECT_EQ(e.log_z.method, LogZMethod::upper_bound);
  EXPECT_TRUE(std::isnan(e.log_z.value));
  EXPECT_EQ(e.log_z.high, -9.5);
  EXPECT_EQ(e["kl.q_sigma"].mean, infinity) << "whatever log Z is";
  EXPECT_TRUE(std::isnan(e["kl.sigma_q"].mean));
  EXPECT_EQ(e.find("kl.sigma_q").range.low, 9.5);
  EXPECT_EQ(e.find("kl.sigma_q").note(), "lower bound");
  expect_no_nan(e);
}

TEST(Infinities, OfSomeRepeatsLeaveTheMeanOfZ) {
  Findings found = findings();
  found.repeats[1].smc_lower = -infinity;
  const Evaluation e = evaluation(found);
  EXPECT_NEAR(e["log_z.smc_lower"].mean, -2 - std::log(2), 1e-15);
  EXPECT_NEAR(e["log_z.smc_lower"].se, 1, 1e-12);  // of {2, 0} relative to 1
  EXPECT_TRUE(std::isnan(e.sample_variance));
  expect_no_nan(e);
}

TEST(Bounds, WithoutExactSamplesADivergenceIsOneToo) {
  Findings found = findings();
  found.g.clear();
  for (BoundRun& run : found.repeats) run.sis_upper = run.smc_upper = std::nan("");
  const Evaluation e = evaluation(found);
  EXPECT_EQ(e.log_z.method, LogZMethod::mean_z_hat);
  EXPECT_EQ(e.log_z.value, e["log_z.smc_mean"].mean);
  EXPECT_EQ(e.log_z.low, -2.25);
  EXPECT_EQ(e.find("kl.q_sigma").note(), "lower bound");
  EXPECT_EQ(e.find("kl.q_sigma").range.low, 0.75);
  EXPECT_EQ(e["kl.sigma_q"].n, 0);
  expect_no_nan(e);
}

// Four repeats that pin two samples in turns: means 1 and 3 by sample, so 2 +- 1 with one degree of freedom,
// where four independent ones would give 2 +- 0.6.
TEST(FewExactSamples, CountAsManyTimesAsThereAreSamples) {
  Findings found;
  for (const double upper : {0.9, 2.9, 1.1, 3.1})
    found.repeats.push_back({-1, upper, -1, upper, 0, 1, {}, 1, {}});
  Evaluation e = make_evaluation(found, {.n_exact = 2});
  EXPECT_NEAR(e["log_z.smc_upper"].mean, 2, 1e-15);
  EXPECT_NEAR(e["log_z.smc_upper"].se, 1, 1e-15);
  EXPECT_EQ(e["log_z.smc_upper"].n, 2);
  EXPECT_NEAR(make_evaluation(found, {.n_exact = 4})["log_z.smc_upper"].se, std::sqrt(4.04 / 12), 1e-12);
  // With one sample nothing is known of the error, neither of the bound nor of what rests on it.
  e = make_evaluation(found, {.n_exact = 1});
  EXPECT_TRUE(std::isnan(e["log_z.smc_upper"].se));
  EXPECT_EQ(e["log_z.smc_upper"].n, 1);
  EXPECT_EQ(e.find("log_z.smc_upper").note(), "one exact sample");
  EXPECT_TRUE(std::isnan(e.log_z.se));
  EXPECT_EQ(e.log_z.value, 0.5);
}

TEST(Evaluation, NamesAreDifferentAndHaveASection) {
  std::set<std::string_view> names;
  std::set<int> rows;
  for (const NamedEstimate& estimate : evaluation(findings(), 0).estimates) {
    EXPECT_TRUE(names.insert(estimate.name).second) << estimate.name;
    EXPECT_TRUE(estimate.row == 0 || rows.insert(estimate.row).second) << estimate.name;
    EXPECT_EQ(std::ranges::count(estimate.name, '.'), 1) << estimate.name;
    EXPECT_FALSE(estimate.title.empty()) << estimate.name;
  }
  EXPECT_EQ(names.size(), 14U);
}

TEST(Evaluation, TravelsAsNumbers) {
  Evaluation e = evaluation(findings(), -1.25);
  e.update = 7;
  e.seconds = 0.5;
  std::map<std::string, double> numbers = to_numbers(e, "before");
  EXPECT_EQ(numbers.at("before.log_z.smc_lower.mean"), -2.25);
  EXPECT_EQ(numbers.at("before.log_z.smc_lower.n"), 2);
  EXPECT_EQ(numbers.at("before.log_z.exact"), -1.25);
  EXPECT_EQ(numbers.at("before.kl.q_sigma.low"), 1.75);
  EXPECT_EQ(numbers.at("before.ess.1"), 3);
  EXPECT_EQ(numbers.at("before.unique_ancestors.1"), 5.5);
  EXPECT_FALSE(numbers.contains("before.log_z.rejection.mean")) << "what is not known is left out";
  EXPECT_FALSE(evaluation_from_numbers(numbers, "base"));
  Evaluation back = evaluation_from_numbers(numbers, "before").value();
  EXPECT_EQ(to_numbers(back, "before"), numbers);
  // The divergences can be made anew from them, with another log Z.
  use_log_z(back, {.value = -2, .se = 0, .low = -2, .high = -2, .method = LogZMethod::given});
  EXPECT_EQ(back["kl.q_sigma"].mean, 1);
  // A checkpoint from before an estimator was there.
  for (const char* part : {"mean", "se", "n"}) numbers.erase(std::string("before.kl.sigma_q.") + part);
  EXPECT_EQ(evaluation_from_numbers(numbers, "before").value()["kl.sigma_q"].n, 0);
}

TEST(Findings, TravelAsNumbers) {
  Findings found = findings();
  EXPECT_EQ(findings_from_numbers(to_numbers(found)), found);
  found.exact = ExactDivergences{-3.5, -1, 0.75, 2.25, 1, 48};
  const std::vector<double> numbers = to_numbers(found);
  EXPECT_EQ(findings_from_numbers(numbers), found);
  EXPECT_EQ(findings_from_numbers({}), Findings{});
  for (const std::size_t n : {std::size_t{1}, std::size_t{4}, numbers.size() - 1})
    EXPECT_THROW((void)findings_from_numbers(std::span(numbers).first(n)), Error) << n;
}

TEST(Draws, TravelAsNumbers) {
  Draws draws;
  draws.populations = {{0, -1.5, 3, 2}, {1, -2.5, 4}};
  draws.sequences = {{0, 5, {1, 2, 3}, -1, -2, -3, -4}, {1, 0, {4, 5, 6}, -5, -6, -7, -8}};
  const std::vector<double> numbers = to_numbers(draws);
  const Draws back = draws_from_numbers(numbers);
  EXPECT_EQ(to_numbers(back), numbers);
  EXPECT_EQ(back.sequences[1].tokens, (std::vector<std::int64_t>{4, 5, 6}));
  EXPECT_EQ(back.populations[1].population, 1);
  EXPECT_EQ(back.n_new(), 2);
  EXPECT_EQ(draws_from_numbers({}).n_done(), 0);
  EXPECT_THROW((void)draws_from_numbers(std::span(numbers).first(2)), Error);
  EXPECT_THROW((void)draws_from_numbers(std::span(numbers).first(9)), Error);
}

}  // namespace
}  // namespace twistor::estimate
