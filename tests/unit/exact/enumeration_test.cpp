// SPDX-License-Identifier: Apache-2.0
// Enumeration against plain sums over all sequences, and its samples and optimal twists.
#include "twistor/exact/enumeration.hpp"

#include <ATen/core/Tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "potential/kinds/contains.hpp"
#include "potential/kinds/continuation.hpp"
#include "potential/kinds/token_scores.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/base/stopwatch.hpp"
#include "twistor/exact/rejection.hpp"
#include "unit/potential/brute_force.hpp"

namespace twistor::exact {
namespace {

using namespace potential;  // potentials and what tests of them share

const Tokens prompt = {0, 0};

/// log p0 phi of all sequences in lexicographic order.
std::vector<double> log_weights(const model::TabularModel& lm, const Potential& potential, std::int64_t T) {
  std::vector<double> result;
  for (const Tokens& s : all_sequences(lm.vocab_size(), T))
    result.push_back(log_p0(lm, prompt, s) + log_phi_of(potential, prompt, s));
  return result;
}

TEST(Enumeration, LogZAndSigmaAreTheSumsOverAllSequences) {
  for (const std::int64_t V : {1, 4, 6})
    for (const std::int64_t T : {1, 3, 4}) {
      const auto lm = model::TabularModel::random(V, 9, static_cast<std::uint64_t>(V * 10 + T), 0.5);
      std::vector<std::unique_ptr<Potential>> potentials;
      potentials.push_back(std::make_unique<ContinuationPotential>(lm, Tokens{0, V - 1}, 1.5));
      potentials.push_back(
          std::make_unique<ContainsPotential>(std::vector<Tokens>{{0}, {V - 1, V - 1}}, log_zero));
      potentials.push_back(std::make_unique<TokenScores>(
          std::vector<double>(static_cast<std::size_t>(V), 0.3), ScoreMode::bag));
      for (const auto& potential : potentials) {
        const auto expected = log_weights(lm, *potential, T);
        const auto enumeration = enumerate(lm, *potential, prompt, T);
        ASSERT_NEAR(enumeration.log_z(), log_sum_exp(expected), 1e-12)
            << V << " " << T << " " << potential->description();
        std::int64_t next = 0;
        const auto all = all_sequences(V, T);
        for (std::size_t i = 0; i < all.size(); ++i) {
          if (expected[i] == log_zero) {
            ASSERT_EQ(enumeration.log_sigma(all[i]), log_zero);
            continue;
          }
          ASSERT_NEAR(enumeration.log_sigma(all[i]), expected[i] - enumeration.log_z(), 1e-12);
          ASSERT_EQ(enumeration.sequence(next), all[i]);
          ASSERT_NEAR(enumeration.log_weight(next), expected[i], 1e-12);
          ++next;
        }
        EXPECT_EQ(enumeration.size(), next);
      }
    }
}

TEST(Enumeration, NormalisedByNothingMeansLogZZero) {
  const auto lm = model::TabularModel::random(5, 7, 9);
  const TokenScores one(std::vector<double>(5, 0.0), ScoreMode::bag);
  EXPECT_NEAR(enumerate(lm, one, prompt, 5).log_z(), 0, 1e-13);
}

TEST(Enumeration, ChunksDoNotChangeABit) {
  const auto lm = model::TabularModel::random(5, 9, 9, 0.5);
  const ContinuationPotential potential(lm, {2, 2}, 1);
  const auto expected = enumerate(lm, potential, prompt, 4);
  for (const std::int64_t n_together : {1, 3, 64, 100000}) {
    EnumerationOptions options;
    options.n_together = n_together;
    const auto other = enumerate(lm, potential, prompt, 4, options);
    EXPECT_EQ(other.log_z(), expected.log_z()) << n_together;
    ASSERT_EQ(other.size(), expected.size()) << n_together;
    for (std::int64_t i = 0; i < other.size(); ++i)
      ASSERT_EQ(other.log_weight(i), expected.log_weight(i)) << n_together;
    EXPECT_EQ(other.draw(1, 5), expected.draw(1, 5));
  }
}

TEST(Enumeration, DrawsFollowSigmaAndSoDoesRejection) {
  const auto lm = model::TabularModel::random(6, 7, 4);
  const ContainsPotential potential({{5}, {1, 2}}, -2.5);
  constexpr std::int64_t T = 4;  // 1296 sequences: several blocks of cumulative weights
  const auto enumeration = enumerate(lm, potential, prompt, T);
  std::vector<double> sigma;
  const auto all = all_sequences(6, T);
  for (const Tokens& s : all) sigma.push_back(std::exp(enumeration.log_sigma(s)));
  const auto at = [](const Tokens& s) {
    return static_cast<std::size_t>(((s[0] * 6 + s[1]) * 6 + s[2]) * 6 + s[3]);
  };

  std::vector<double> drawn(all.size(), 0.0);
  for (std::int64_t i = 0; i < 40000; ++i) ++drawn[at(enumeration.draw(7, i))];
  EXPECT_LT(chi_square_z(drawn, sigma), chi_square_limit);

  std::vector<double> accepted(all.size(), 0.0);
  for (const auto& sample : RejectionSampler(lm, potential, prompt, T, 7).accepted({0, 40000, 1}))
    ++accepted[at(sample.tokens)];
  EXPECT_LT(chi_square_z(accepted, sigma), chi_square_limit);

  std::vector<double> uniform(all.size(), 1.0 / static_cast<double>(all.size()));
  EXPECT_GT(chi_square_z(drawn, uniform), chi_square_limit) << "the control";
  EXPECT_EQ(enumeration.draw(7, 3), enumeration.draw(7, 3));
}

TEST(Enumeration, OptimalTwistsObeyTheirRecursion) {
  const auto lm = model::TabularModel::random(4, 9, 2);
  const ContainsPotential potential({{3, 3}, {0}}, log_zero);
  constexpr std::int64_t T = 4;
  EnumerationOptions options;
  options.keep_twists = true;
  const auto enumeration = enumerate(lm, potential, prompt, T, options);
  EXPECT_EQ(enumeration.log_optimal_twist({}), enumeration.log_z());
  for (std::int64_t t = 0; t < T; ++t)
    for (const Tokens& prefix : all_sequences(4, t)) {
      Tokens past = prompt;
      past.insert(past.end(), prefix.begin(), prefix.end());
      auto terms = lm.log_probs(past);
      for (std::int64_t v = 0; v < 4; ++v) {
        Tokens longer = prefix;
        longer.push_back(v);
        terms[static_cast<std::size_t>(v)] += enumeration.log_optimal_twist(longer);
      }
      EXPECT_NEAR(enumeration.log_optimal_twist(prefix), log_sum_exp(terms), 1e-12);
    }
  // The end of the recursion, up to the rounding of log p0 + log phi - log p0.
  EXPECT_NEAR(enumeration.log_optimal_twist(Tokens{1, 1, 3, 3}), 0, 1e-13);
  EXPECT_EQ(enumeration.log_optimal_twist(Tokens{1, 3, 1, 3}), log_zero);
  EXPECT_THROW((void)enumerate(lm, potential, prompt, T).log_optimal_twist(Tokens{1}), Error)
      << "they were not kept";
  EXPECT_THROW((void)enumeration.log_optimal_twist(Tokens(5, 0)), Error);
  EXPECT_THROW((void)enumeration.log_sigma(Tokens{0, 0}), Error);
  EXPECT_THROW((void)enumeration.log_sigma(Tokens{0, 0, 0, 4}), Error);
}

TEST(Enumeration, ImpossibleSequencesAreLeftOut) {
  const auto lm = model::TabularModel::order1(3, 9, {0, log_zero, 0, 0, 0, 0, 0, 0, log_zero});
  const TokenScores one({0, 0, 0}, ScoreMode::bag);
  const auto enumeration = enumerate(lm, one, prompt, 3);
  EXPECT_NEAR(enumeration.log_z(), 0, 1e-14);
  EXPECT_LT(enumeration.size(), 27);
  EXPECT_EQ(enumeration.log_sigma(Tokens{1, 0, 1}), log_zero);
}

TEST(Enumeration, NothingAboveZeroIsADefinedOutcome) {
  const auto lm = model::TabularModel::random(3, 9, 2);
  const FunctionPotential never([](const Tokens&) { return log_zero; }, 0);
  const auto enumeration = enumerate(lm, never, prompt, 3);
  EXPECT_EQ(enumeration.log_z(), log_zero);
  EXPECT_EQ(enumeration.size(), 0);
  EXPECT_EQ(enumeration.log_sigma(Tokens{0, 0, 0}), log_zero);
  EXPECT_THROW((void)enumeration.draw(1, 0), Error);
}

TEST(Enumeration, RefusesWhatIsTooLarge) {
  const auto lm = model::TabularModel::random(10, 15, 2);
  const TokenScores one(std::vector<double>(10, 0.0), ScoreMode::bag);
  try {
    (void)enumerate(lm, one, prompt, 8);
    FAIL() << "1e8 sequences";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::config);
    EXPECT_THAT(error.text(), testing::HasSubstr("10^8"));
    EXPECT_THAT(error.hint(), testing::HasSubstr("rejection"));
  }
  EnumerationOptions options;
  options.limit = 99;
  EXPECT_THROW((void)enumerate(lm, one, prompt, 2, options), Error);
  options.limit = 100;
  EXPECT_NO_THROW((void)enumerate(lm, one, prompt, 2, options));
  EXPECT_THROW((void)enumerate(lm, one, prompt, 64), Error) << "V^T overflows 64 bits";
  EXPECT_THROW((void)enumerate(lm, one, prompt, 0), Error);
  EXPECT_THROW((void)enumerate(lm, one, {}, 2), Error);
}

// The size of the quickstart's target. About 2 s here; the limit leaves room for loaded machines and
// sanitizers.
TEST(Enumeration, FourTokensOfFortyFourAreQuick) {
  const auto lm = model::TabularModel::random(44, 6, 2);
  const ContainsPotential potential({{7}, {3, 4}}, log_zero);
  const Stopwatch watch;
  const auto enumeration = enumerate(lm, potential, prompt, 4);
  const double elapsed_s = watch.seconds();
  RecordProperty("seconds", std::to_string(elapsed_s));
  EXPECT_GT(enumeration.size(), 44 * 44 * 44 * 4 - 6 * 44 * 44);
  EXPECT_LT(enumeration.log_z(), 0);
  EXPECT_LT(elapsed_s, 60);
}

}  // namespace
}  // namespace twistor::exact
