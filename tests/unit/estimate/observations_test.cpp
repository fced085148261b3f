// SPDX-License-Identifier: Apache-2.0
// Means over observations, by hand, and what is kept of an unfinished evaluation.
#include "twistor/estimate/observations.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "twistor/base/error.hpp"

namespace twistor::estimate {
namespace {

/// An observation with exact log Z `z`, two repeats of each bound and exact samples, whose F_q and G_q are
/// known.
Findings findings(double z, double f, double g) {
  Findings out;
  for (const double by : {-0.1, 0.1})
    out.repeats.push_back({.sis_lower = z - 0.5 + by,
                           .sis_upper = z + 0.5 + by,
                           .smc_lower = z - 0.2 + by,
                           .smc_upper = z + 0.2 + by,
                           .variance = 0.1,
                           .final_ess = 3 + z,
                           .ess = {2, 4 + z},
                           .founders = 1,
                           .survivors = {1, 2}});
  out.exact = ExactDivergences{f, g, -1, 0.5, 1, 8};
  return out;
}

Evaluation evaluation(double z, double f, double g) {
  KnownTarget known;
  known.exact_log_z = z;
  return make_evaluation(findings(z, f, g), known);
}

TEST(MeanOverObservations, HasMeansAndErrorsOverThem) {
  const std::vector<Evaluation> each{evaluation(-1, -1.3, -0.9), evaluation(-3, -3.5, -2.4)};
  const Evaluation e = mean_over(each, &Evaluation::observations);
  EXPECT_EQ(e.observations, 2);
  // KL(q || sigma) = 0.3 and 0.5, KL(sigma || q) = 0.1 and 0.6.
  EXPECT_NEAR(e["kl.q_sigma"].mean, 0.4, 1e-12);
  EXPECT_NEAR(e["kl.q_sigma"].se, 0.1, 1e-12)
      << "log Z and F_q vary together: the errors are those of their difference";
  EXPECT_NEAR(e["kl.sigma_q"].mean, 0.35, 1e-12);
  EXPECT_EQ(e["kl.sigma_q"].n, 2);
  EXPECT_FALSE(e.find("kl.q_sigma").is_exact);
  EXPECT_EQ(e.find("kl.q_sigma").runs.size(), 2U);
  EXPECT_NEAR(e["log_z.smc_lower"].mean, -2.2, 1e-12);
  EXPECT_NEAR(e["log_z.smc_upper"].mean, -1.8, 1e-12);
  EXPECT_NEAR(e.log_z.value, -2, 1e-12);
  EXPECT_EQ(e.log_z.method, LogZMethod::exact);
  EXPECT_NEAR(e.mean_final_ess, 1, 1e-12);
  EXPECT_NEAR(e.mean_ess[1], 2, 1e-12);
}

TEST(MeanOverObservations, IsNotMadeAnewWithAnotherLogZ) {
  const std::vector<Evaluation> each{evaluation(-1, -1.3, -0.9), evaluation(-3, -3.5, -2.4)};
  Evaluation a = mean_over(each, &Evaluation::observations),
             b = mean_over(std::span(each).first(1), &Evaluation::observations);
  share_log_z({&a, &b});
  EXPECT_NEAR(a["kl.q_sigma"].mean, 0.4, 1e-12);
  EXPECT_NEAR(b["kl.q_sigma"].mean, 0.3, 1e-12);
}

TEST(MeanOverObservations, SaysSoWhereLogZDoesNotComeFromTheSame) {
  std::vector<Evaluation> each{evaluation(-1, -1.3, -0.9), evaluation(-3, -3.5, -2.4)};
  each[1].log_z.method = LogZMethod::smc_midpoint;
  EXPECT_EQ(mean_over(each, &Evaluation::observations).log_z.method, LogZMethod::mixed);
}

TEST(MeanOverPrompts, IsOverThoseForWhichAnEstimateCouldBeMade) {
  std::vector<Evaluation> each{evaluation(-1, -1.3, -0.9), evaluation(-3, -3.5, -2.4)};
  for (NamedEstimate& x : each[1].estimates)
    if (x.name == "kl.sigma_q") x.value = {};
  each[1].mean_ess.pop_back();  // continued by fewer tokens
  const Evaluation e = mean_over(each, &Evaluation::prompts);
  EXPECT_EQ(e.prompts, 2);
  EXPECT_EQ(e.observations, 0);
  EXPECT_EQ(e["kl.sigma_q"].n, 1);
  EXPECT_NEAR(e["kl.sigma_q"].mean, 0.1, 1e-12);
  EXPECT_EQ(e["kl.q_sigma"].n, 2);
  EXPECT_TRUE(e.mean_ess.empty());
}

TEST(EvaluationRow, ComesBackWithAllThatIsNotKnown) {
  Evaluation e = evaluation(-1, -1.3, -0.9);
  e.update = 7;
  const std::vector<double> row = to_row(e);
  const Evaluation back = evaluation_from_row(row);
  EXPECT_EQ(to_numbers(back, "x"), to_numbers(e, "x"));
  EXPECT_EQ(back.log_z.method, LogZMethod::exact);
  EXPECT_EQ(back.update, 7);
  EXPECT_ANY_THROW((void)evaluation_from_row(std::span(row).first(row.size() - 1)));
}

TEST(MeanOverObservations, TravelsInCheckpoints) {
  const std::vector<Evaluation> each{evaluation(-1, -1.3, -0.9), evaluation(-3, -3.5, -2.4)};
  const auto back = evaluation_from_numbers(to_numbers(mean_over(each, &Evaluation::observations), "x"), "x");
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->observations, 2);
  EXPECT_NEAR((*back)["kl.q_sigma"].se, 0.1, 1e-12);
}

TEST(FindingsOfObservations, AreKeptAndReadBack) {
  const std::vector<Findings> found{findings(-1, -1.3, -0.9), {}, findings(-3, -3.5, -2.4)};
  const std::vector<double> numbers = to_numbers(found);
  EXPECT_EQ(list_of_findings(numbers), found);
  EXPECT_TRUE(list_of_findings({}).empty());
  for (std::size_t n = 1; n < numbers.size(); ++n)
    EXPECT_THROW((void)list_of_findings(std::span(numbers).first(n)), Error) << n;
}

}  // namespace
}  // namespace twistor::estimate
