// SPDX-License-Identifier: Apache-2.0
// What a run's numbers are said to be worth.
#include "report/verdict.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "report/run_json.hpp"

namespace twistor::report {
namespace {

using nlohmann::json;
using testing::HasSubstr, testing::Not;

json estimate(double mean, double se = 0.001) {
  return {{"mean", mean}, {"se", se}, {"n", 20}};
}

/// A run in which all is well.
json good_run() {
  return {{"log_z",
           {{"exact", nullptr},
            {"estimate", {{"value", -6.41}, {"se", 0.002}, {"method", "midpoint of the SMC bounds"}}},
            {"smc_lower", estimate(-6.42)},
            {"smc_upper", estimate(-6.40)},
            {"sis_lower", estimate(-6.5)},
            {"sis_upper", estimate(-6.3)},
            {"missed_by_smc", 0}}},
          {"kl", {{"q_sigma", estimate(0.04)}, {"sigma_q", estimate(0.03)}}},
          {"ess", {{"final", 60.0}}},
          {"log_q_error", {{"largest", 1e-6}}},
          {"config", {{"smc", {{"particles", 64}}}}}};
}

TEST(Verdict, IsGoodWhereBoundsAreTightAndQIsNear) {
  const Verdict verdict = verdict_on(good_run());
  EXPECT_EQ(verdict.trust, Trust::good);
  EXPECT_THAT(verdict.words, HasSubstr("0.0200 nats apart: populations of 64 particles follow the target"));
  EXPECT_THAT(verdict.words, HasSubstr("Single texts of q are close to the target too"));
  EXPECT_THAT(verdict.words, HasSubstr("is 0.0400 nats")) << "the larger one";
  EXPECT_THAT(verdict.words, Not(HasSubstr("Few particles")));
}

TEST(Verdict, TellsPopulationsFromSingleTexts) {
  json run = good_run();
  run["kl"]["sigma_q"] = estimate(1.2);
  Verdict verdict = verdict_on(run);
  EXPECT_EQ(verdict.trust, Trust::good);
  EXPECT_THAT(verdict.words, HasSubstr("some way from the target: the larger of both divergences is 1.2000"));
  run["kl"]["sigma_q"] = estimate(4.34);
  verdict = verdict_on(run);
  EXPECT_EQ(verdict.trust, Trust::fair) << "tight bounds do not make q good";
  EXPECT_THAT(verdict.words, HasSubstr("follow the target closely"));
  EXPECT_THAT(verdict.words, HasSubstr("Single texts of q are far from the target"));
  run["kl"]["q_sigma"] = {{"mean", "inf"}, {"se", nullptr}, {"n", 20}};
  EXPECT_THAT(verdict_on(run).words, HasSubstr("divergences is infinite"));
  run["kl"] = {
      {"q_sigma", {{"mean", nullptr}, {"se", nullptr}, {"n", 20}, {"low", 2.5}, {"note", "lower bound"}}},
      {"sigma_q", nullptr}};
  EXPECT_THAT(verdict_on(run).words, HasSubstr("is 2.5000 nats")) << "the least that it can be";
  run["kl"] = {{"q_sigma", nullptr}, {"sigma_q", nullptr}};
  EXPECT_THAT(verdict_on(run).words, Not(HasSubstr("Single texts")));
}

TEST(Verdict, FollowsTheDistanceOfTheBounds) {
  json run = good_run();
  run["log_z"]["smc_lower"] = run["log_z"]["sis_lower"] = estimate(-6.7);
  Verdict verdict = verdict_on(run);
  EXPECT_EQ(verdict.trust, Trust::fair);
  EXPECT_THAT(verdict.words, HasSubstr("roughly; take log Z as the interval"));
  run["log_z"]["smc_lower"] = run["log_z"]["sis_lower"] = estimate(-9);
  verdict = verdict_on(run);
  EXPECT_EQ(verdict.trust, Trust::bad);
  EXPECT_THAT(verdict.words, HasSubstr("only the interval is certain"));
  run["log_z"]["exact"] = -6.41;
  EXPECT_THAT(verdict_on(run).words, Not(HasSubstr("interval"))) << "log Z itself is known";
  run["log_z"]["smc_lower"] = run["log_z"]["sis_lower"] = estimate(-6.38, 0.02);
  EXPECT_THAT(verdict_on(run).words, HasSubstr("cross by 0.0200 nats"));
}

TEST(Verdict, DistrustsWhatIsWrongOrMissed) {
  json run = good_run();
  run["log_z"]["missed_by_smc"] = 0.4;
  EXPECT_EQ(verdict_on(run).trust, Trust::bad);
  EXPECT_THAT(verdict_on(run).words, HasSubstr("at least 0.4000 nats above"));
  run["log_z"]["missed_by_smc"] = 0.004;
  EXPECT_EQ(verdict_on(run).trust, Trust::fair) << "hardly anything";
  EXPECT_THAT(verdict_on(run).words, HasSubstr("at least 0.0040 nats above"));
  run["log_q_error"]["largest"] = 0.1;
  EXPECT_EQ(verdict_on(run).trust, Trust::bad);
  EXPECT_THAT(verdict_on(run).words, HasSubstr("something is wrong with the model"));
}

TEST(Verdict, SaysWhatCannotBeSeen) {
  json run = good_run();
  run["log_z"]["smc_upper"] = run["log_z"]["sis_upper"] = nullptr;
  run["kl"]["sigma_q"] = nullptr;
  const Verdict verdict = verdict_on(run);
  EXPECT_EQ(verdict.trust, Trust::fair);
  EXPECT_THAT(verdict.words, HasSubstr("no upper bound"));
  EXPECT_EQ(
      verdict_of(run),
      "log Z is about -6.4100 ± 0.0020, at least -6.4200 on average over runs; there is no upper bound");
  run["log_z"]["estimate"]["value"] = nullptr;
  EXPECT_THAT(verdict_of(run), HasSubstr("about -6.4200, at least -6.4200"));
}

TEST(Verdict, SaysThatNothingWasFound) {
  json run = good_run();
  run["log_z"]["smc_lower"] = run["log_z"]["sis_lower"] = {{"mean", "-inf"}, {"se", nullptr}, {"n", 20}};
  const Verdict verdict = verdict_on(run);
  EXPECT_EQ(verdict.trust, Trust::bad);
  EXPECT_THAT(verdict.words, HasSubstr("some runs found no text of the target"));
  EXPECT_THAT(verdict.words, Not(HasSubstr("inf ")));
  EXPECT_THAT(verdict_of(run), HasSubstr("at most -6.4000; there is no lower bound"));
}

TEST(Verdict, CountsParticlesOfWeight) {
  json run = good_run();
  run["ess"]["final"] = 3;
  const Verdict verdict = verdict_on(run);
  EXPECT_EQ(verdict.trust, Trust::fair);
  EXPECT_THAT(verdict.words, HasSubstr("Few particles carry the weight at the end: 3.0 of 64."));
}

TEST(BytesText, HasThreeDigitsOrSo) {
  EXPECT_EQ(bytes_text(17), "17 B");
  EXPECT_EQ(bytes_text(1234), "1.2 kB");
  EXPECT_EQ(bytes_text(3.42e6), "3.4 MB");
  EXPECT_EQ(bytes_text(5.6e9), "5.60 GB");
}

}  // namespace
}  // namespace twistor::report
