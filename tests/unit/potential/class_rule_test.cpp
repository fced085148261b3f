// SPDX-License-Identifier: Apache-2.0
// Potentials from the probability of a class: exact at both ends, thresholds, unfit options.
#include "potential/kinds/class_rule.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "twistor/base/error.hpp"

namespace twistor::potential {
namespace {

PotentialOptions options_with(void (*set)(PotentialOptions&)) {
  PotentialOptions options;
  set(options);
  return options;
}

double log_phi(void (*set)(PotentialOptions&), double logit) {
  return ClassRule(options_with(set), "test").log_phi(ClassLogProb::from_logit(logit));
}

TEST(ClassRule, APowerOfTheProbabilityWithoutCancellation) {
  const auto two = [](PotentialOptions& o) { o.beta = 2; };
  const auto not_two = [](PotentialOptions& o) { o.beta = 2, o.negate = true; };
  for (const double logit : {-700.0, -40.0, -1.0, 0.0, 0.3, 40.0, 700.0}) {
    // log sigmoid by the other route, exact where it does not cancel.
    const double expected =
        logit < 0 ? 2 * (logit - std::log1p(std::exp(logit))) : -2 * std::log1p(std::exp(-logit));
    EXPECT_DOUBLE_EQ(log_phi(two, logit), expected) << logit;
    EXPECT_EQ(log_phi(not_two, logit), log_phi(two, -logit)) << logit;
  }
  EXPECT_LT(log_phi(two, 40), 0) << "1 - p = 4e-18 was lost";
  EXPECT_EQ(log_phi(two, -1000), -2000);
}

TEST(ClassRule, AThresholdOfTheLogOdds) {
  const auto rule = [](PotentialOptions& o) {
    o.rule = "threshold", o.threshold = 5, o.log_floor = -36, o.beta = 0.5;
  };
  EXPECT_EQ(log_phi(rule, 5.01), 0);
  EXPECT_EQ(log_phi(rule, 4.99), -18);
  const auto negated = [](PotentialOptions& o) { o.rule = "threshold", o.threshold = 5, o.negate = true; };
  EXPECT_EQ(log_phi(negated, -5.01), 0);
  EXPECT_EQ(log_phi(negated, 700), log_zero);
}

TEST(ClassRule, SaysWhatItIs) {
  EXPECT_EQ(ClassRule(options_with([](auto& o) { o.negate = true, o.beta = 2; }), "").description("toxic"),
            "p(not toxic)^2");
  EXPECT_EQ(ClassRule(options_with([](auto& o) { o.rule = "threshold"; }), "").description("toxic"),
            "1 where p(toxic) is above log-odds 0, else exp(-inf)");
}

TEST(ClassRule, RefusesUnfitOptions) {
  const auto refuses = [](void (*set)(PotentialOptions&), const char* message) {
    try {
      ClassRule(options_with(set), "test");
      ADD_FAILURE() << "expected " << message;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::config);
      EXPECT_THAT(error.text(), testing::HasSubstr(message));
    }
  };
  refuses([](auto& o) { o.rule = "best"; }, "target.rule is 'best'");
  refuses([](auto& o) { o.beta = 0; }, "target.beta is 0");
  refuses([](auto& o) { o.threshold = 1; }, "target.threshold is set, but target.rule = probability");
  refuses([](auto& o) { o.log_floor = -1; }, "target.log_floor is set");
  refuses([](auto& o) { o.rule = "threshold", o.log_floor = 0.1; }, "expected at most 0");
  refuses([](auto& o) { o.rule = "threshold", o.threshold = INFINITY; }, "expected a finite number");
}

}  // namespace
}  // namespace twistor::potential
