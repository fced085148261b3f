// Evaluations as numbers and back, and the estimates of findings that are worked out by hand.
#include "twistor/estimate/evaluation.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "twistor/base/error.hpp"
#include "twistor/estimate/draws.hpp"

namespace twistor::estimate {
namespace {

/// Two repeats, three samples of q and two of sigma.
Findings findings() {
  Findings found;
  found.repeats = {{-3, 1, -2, -1, 0.5, 4, {8, 4}}, {-5, 3, -2.5, -0.5, 1.5, 6, {6, 2}}};
  found.q = {{-2, 0.5, 1}, {-3, 1, 2}, {-4, 1.5, 3}};
  found.g = {-1, 0};
  return found;
}

TEST(Evaluation, IsWhatFollowsFromTheFindings) {
  const Evaluation e = make_evaluation(findings(), std::nan(""));
  EXPECT_EQ(e["log_z.sis_lower"].mean, -4);
  EXPECT_EQ(e["log_z.sis_upper"].mean, 2);
  EXPECT_EQ(e["log_z.smc_lower"].mean, -2.25);
  EXPECT_EQ(e["log_z.smc_upper"].mean, -0.75);
  EXPECT_EQ(e["proposal.f_q"].mean, -3);
  EXPECT_EQ(e["proposal.g_q"].mean, -0.5);
  EXPECT_EQ(e["proposal.log_phi"].mean, 1);
  EXPECT_EQ(e["proposal.kl_q_p0"].mean, 2);
  // The midpoint of the tighter pair, -1.5, stands for log Z.
  EXPECT_EQ(best_log_z(findings(), std::nan("")), -1.5);
  EXPECT_EQ(e["kl.q_sigma"].mean, 1.5);
  EXPECT_EQ(e["kl.sigma_q"].mean, 1);
  EXPECT_EQ(e["kl.symmetrised"].mean, 2.5);
  EXPECT_EQ(e["kl.symmetrised"].n, 2);
  EXPECT_EQ(e.genealogical_variance, 1);
  EXPECT_EQ(e.mean_final_ess, 5);
  EXPECT_EQ(e.mean_ess, (std::vector<double>{7, 3}));
  EXPECT_EQ(make_evaluation(findings(), -2)["kl.q_sigma"].mean, 1);
  EXPECT_THROW((void)e["log_z.none"], Error);
}

TEST(Evaluation, NamesAreDifferentAndHaveASection) {
  std::set<std::string_view> names;
  std::set<int> rows;
  for (const NamedEstimate& estimate : make_evaluation(findings(), 0).estimates) {
    EXPECT_TRUE(names.insert(estimate.name).second) << estimate.name;
    EXPECT_TRUE(estimate.row == 0 || rows.insert(estimate.row).second) << estimate.name;
    EXPECT_EQ(std::ranges::count(estimate.name, '.'), 1) << estimate.name;
    EXPECT_FALSE(estimate.title.empty()) << estimate.name;
  }
  EXPECT_EQ(names.size(), 11U);
}

TEST(Evaluation, TravelsAsNumbers) {
  Evaluation e = make_evaluation(findings(), -1.25);
  e.update = 7;
  e.seconds = 0.5;
  std::map<std::string, double> numbers = to_numbers(e, "before");
  EXPECT_EQ(numbers.at("before.log_z.smc_lower.mean"), -2.25);
  EXPECT_EQ(numbers.at("before.log_z.smc_lower.n"), 2);
  EXPECT_EQ(numbers.at("before.log_z.exact"), -1.25);
  EXPECT_EQ(numbers.at("before.ess.1"), 3);
  EXPECT_EQ(numbers.size(), 3U * 11U + 4U + 1U + 2U);
  EXPECT_FALSE(evaluation_from_numbers(numbers, "base"));
  EXPECT_EQ(to_numbers(evaluation_from_numbers(numbers, "before").value(), "before"), numbers);
  // A checkpoint from before an estimator was there.
  for (const char* part : {"mean", "se", "n"}) numbers.erase(std::string("before.kl.sigma_q.") + part);
  EXPECT_EQ(evaluation_from_numbers(numbers, "before").value()["kl.sigma_q"].n, 0);
}

TEST(Findings, TravelAsNumbers) {
  const std::vector<double> numbers = to_numbers(findings());
  EXPECT_EQ(findings_from_numbers(numbers), findings());
  EXPECT_EQ(findings_from_numbers({}), Findings{});
  for (const std::size_t n : {std::size_t{1}, std::size_t{4}, numbers.size() - 1})
    EXPECT_THROW((void)findings_from_numbers(std::span(numbers).first(n)), Error) << n;
}

TEST(Draws, TravelAsNumbers) {
  Draws draws;
  draws.populations = {{0, -1.5, 3}, {1, -2.5, 4}};
  draws.sequences = {{0, 5, {1, 2, 3}, -1, -2, -3, -4}, {1, 0, {4, 5, 6}, -5, -6, -7, -8}};
  const std::vector<double> numbers = to_numbers(draws);
  const Draws back = draws_from_numbers(numbers);
  EXPECT_EQ(to_numbers(back), numbers);
  EXPECT_EQ(back.sequences[1].tokens, (std::vector<std::int64_t>{4, 5, 6}));
  EXPECT_EQ(back.populations[1].population, 1);
  EXPECT_EQ(draws_from_numbers({}).n_done(), 0);
  EXPECT_THROW((void)draws_from_numbers(std::span(numbers).first(2)), Error);
  EXPECT_THROW((void)draws_from_numbers(std::span(numbers).first(9)), Error);
}

}  // namespace
}  // namespace twistor::estimate
