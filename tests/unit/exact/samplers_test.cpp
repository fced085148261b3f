// SPDX-License-Identifier: Apache-2.0
// Ancestral, joint and rejection samples: keyed by index alone, and distributed as they should be.
#include <ATen/core/Tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "potential/kinds/token_scores.hpp"
#include "twistor/base/error.hpp"
#include "twistor/exact/base_sampler.hpp"
#include "twistor/exact/rejection.hpp"
#include "unit/potential/brute_force.hpp"

namespace twistor::exact {
namespace {

using namespace potential;  // potentials and what tests of them share

constexpr std::int64_t V = 4;
constexpr std::int64_t T = 3;

std::vector<std::int64_t> numbers(std::int64_t n) {
  std::vector<std::int64_t> result(static_cast<std::size_t>(n));
  std::iota(result.begin(), result.end(), 0);
  return result;
}

/// Counts over all sequences, in lexicographic order.
std::vector<double> counts_of(const Tokens& flat) {
  std::vector<double> counts(64, 0.0);
  for (std::size_t i = 0; i < flat.size(); i += 3)
    ++counts[static_cast<std::size_t>(flat[i] * 16 + flat[i + 1] * 4 + flat[i + 2])];
  return counts;
}

class Samplers : public testing::Test {
 protected:
  const model::TabularModel lm = model::TabularModel::random(V, 12, 5);
  const Tokens prompt = {1, 2};

  /// p0(s) phi(s) / Z over all sequences, by plain sums.
  std::vector<double> sigma(const std::function<double(const Tokens&)>& log_phi) const {
    std::vector<double> result;
    double z = 0;
    for (const Tokens& s : all_sequences(V, T)) {
      result.push_back(std::exp(log_p0(lm, prompt, s) + log_phi(s)));
      z += result.back();
    }
    for (double& x : result) x /= z;
    return result;
  }
};

TEST_F(Samplers, BaseSamplesFollowP0) {
  const auto samples = sample_base(lm, prompt, T, numbers(20000), 11);
  const auto counts = counts_of(samples.tokens);
  EXPECT_LT(chi_square_z(counts, sigma([](const Tokens&) { return 0; })), chi_square_limit);
  // The control: a distribution that is off by a factor of 1.2 on a quarter of the sequences must be told
  // apart.
  EXPECT_GT(chi_square_z(counts, sigma([](const Tokens& s) { return s[0] == 0 ? 0.18 : 0.0; })),
            chi_square_limit);
  for (std::size_t i = 0; i < 50; ++i) {
    const Tokens s(samples.tokens.begin() + static_cast<std::ptrdiff_t>(i) * T,
                   samples.tokens.begin() + static_cast<std::ptrdiff_t>(i + 1) * T);
    EXPECT_NEAR(samples.log_p0[i], log_p0(lm, prompt, s), 1e-13);
  }
}

TEST_F(Samplers, ASampleDependsOnItsIndexAlone) {
  const BaseSampler sampler(lm, prompt);
  const auto all = sampler.sample(T, numbers(600), 11);  // three chunks
  const std::vector<std::int64_t> picked = {599, 3, 256, 3};
  const auto some = sampler.sample(T, picked, 11);
  for (std::size_t i = 0; i < picked.size(); ++i) {
    const auto at = static_cast<std::size_t>(picked[i]);
    EXPECT_EQ(some.log_p0[i], all.log_p0[at]);
    for (std::size_t t = 0; t < 3; ++t) EXPECT_EQ(some.tokens[i * 3 + t], all.tokens[at * 3 + t]);
  }
  EXPECT_NE(sampler.sample(T, numbers(600), 12).tokens, all.tokens) << "another seed";
  EXPECT_NE(sampler.sample(T, numbers(600), 11, Stream::proposal_check).tokens, all.tokens)
      << "another stream";
}

TEST_F(Samplers, JointDrawsContinueTheSequence) {
  const BaseSampler sampler(lm, prompt);
  const auto joint = sampler.joint(2, 1, numbers(20000), 11);
  EXPECT_EQ(joint.sequences.tokens, sampler.sample(2, numbers(20000), 11).tokens);
  Tokens both;
  for (std::size_t i = 0; i < joint.observations.tokens.size(); ++i) {
    both.insert(both.end(), {joint.sequences.tokens[2 * i], joint.sequences.tokens[2 * i + 1],
                             joint.observations.tokens[i]});
    if (i >= 50) continue;
    const Tokens past = {prompt[0], prompt[1], both[3 * i], both[3 * i + 1]};
    EXPECT_NEAR(joint.observations.log_p0[i], log_p0(lm, past, {both[3 * i + 2]}), 1e-13);
  }
  EXPECT_LT(chi_square_z(counts_of(both), sigma([](const Tokens&) { return 0; })), chi_square_limit)
      << "s and o together are a sample of T + c tokens";
  const auto one = joint_draw(lm, prompt, 2, 4, 77, 11);
  EXPECT_EQ(one.sequences.tokens, (Tokens{both[231], both[232]}));
  EXPECT_EQ(one.observations.tokens.size(), 4U);
  EXPECT_EQ(one.observations.tokens[0], both[233]);
}

TEST_F(Samplers, RefuseWhatCannotBe) {
  EXPECT_THROW(BaseSampler(lm, Tokens{}), Error);
  EXPECT_THROW(BaseSampler(lm, Tokens(13, 0)), Error);
  EXPECT_THROW((void)sample_base(lm, prompt, 0, numbers(1), 1), Error);
  EXPECT_THROW((void)sample_base(lm, prompt, 12, numbers(1), 1), Error)
      << "13 tokens read in a context of 12";
  EXPECT_NO_THROW((void)sample_base(lm, prompt, 11, numbers(1), 1)) << "the last token is never read";
  EXPECT_THROW((void)joint_draw(lm, prompt, 2, 0, 0, 1), Error);
}

TEST_F(Samplers, RejectionFollowsSigma) {
  const TokenScores potential({0.5, -1, 1.2, log_zero}, ScoreMode::bag, T);
  const auto expected = sigma([&](const Tokens& s) { return log_phi_of(potential, prompt, s); });
  Tokens flat;
  for (const auto& sample : RejectionSampler(lm, potential, prompt, T, 3).accepted({0, 60000, 1})) {
    flat.insert(flat.end(), sample.tokens.begin(), sample.tokens.end());
    ASSERT_NEAR(sample.log_phi, log_phi_of(potential, prompt, sample.tokens), 1e-15);
  }
  ASSERT_GT(flat.size(), 3000U);
  EXPECT_LT(chi_square_z(counts_of(flat), expected), chi_square_limit);
  const auto base = sample_base(lm, prompt, T, numbers(static_cast<std::int64_t>(flat.size()) / 3), 3);
  EXPECT_GT(chi_square_z(counts_of(base.tokens), expected), chi_square_limit)
      << "the control: p0 is not sigma";
}

TEST_F(Samplers, TheAcceptedSetDoesNotDependOnWhoDraws) {
  const TokenScores potential({0.5, -1, 1.2, log_zero}, ScoreMode::bag, T);
  const RejectionSampler sampler(lm, potential, prompt, T, 3);
  const auto all = sampler.accepted({0, 1500, 1});
  ASSERT_GT(all.size(), 20U);
  for (const std::int64_t P : {2, 3, 5}) {
    std::vector<AcceptedDraw> merged;
    for (std::int64_t r = 0; r < P; ++r)
      for (std::int64_t round = 0; round < 1500; round += 500) {
        // Rank r takes the draws that are r modulo P, in rounds.
        const std::int64_t first = round + ((r - round) % P + P) % P;
        const auto part = sampler.accepted({first, round + 500, P});
        merged.insert(merged.end(), part.begin(), part.end());
      }
    std::sort(merged.begin(), merged.end(), [](const auto& a, const auto& b) { return a.draw < b.draw; });
    EXPECT_EQ(merged, all) << P << " ranks";
  }
}

/// The first n_wanted accepted draws and the draws up to the last of them, as P ranks make them in rounds of
/// at most `most` draws; `made` counts the draws.
std::pair<std::vector<AcceptedDraw>, std::int64_t> by_rounds(const RejectionSampler& sampler, RoundPlan plan,
                                                             std::int64_t P, std::int64_t& made) {
  std::vector<AcceptedDraw> samples;
  while (plan.n_accepted < plan.n_wanted && plan.n_draws < plan.max_draws) {
    const std::int64_t end = plan.n_draws + next_round(plan);
    std::vector<AcceptedDraw> round;
    for (std::int64_t r = 0; r < P; ++r) {
      const auto part = sampler.accepted({plan.n_draws + r, end, P});
      round.insert(round.end(), part.begin(), part.end());
    }
    std::sort(round.begin(), round.end(), [](const auto& a, const auto& b) { return a.draw < b.draw; });
    samples.insert(samples.end(), round.begin(), round.end());
    plan.n_draws = made = end;
    plan.n_accepted = static_cast<std::int64_t>(samples.size());
  }
  if (plan.n_accepted >= plan.n_wanted) {
    samples.resize(static_cast<std::size_t>(plan.n_wanted));
    plan.n_draws = samples.back().draw + 1;
  }
  return {samples, plan.n_draws};
}

TEST_F(Samplers, TheSetDoesNotDependOnRoundsNorRanks) {
  const TokenScores potential({0.5, -1, 1.2, log_zero}, ScoreMode::bag, T);
  const RejectionSampler sampler(lm, potential, prompt, T, 3);
  auto wanted = sampler.accepted({0, 2000, 1});
  ASSERT_GT(wanted.size(), 12U);
  wanted.resize(12);
  const std::int64_t n_wanted_draws = wanted.back().draw + 1;
  for (const std::int64_t P : {1, 2, 3, 5})
    for (const std::int64_t most : {1, 7, 64, 4096}) {
      std::int64_t made = 0;
      const auto [samples, n_draws] =
          by_rounds(sampler, {.n_wanted = 12, .max_draws = 100000, .most = most}, P, made);
      EXPECT_EQ(samples, wanted) << P << " ranks, rounds of up to " << most;
      EXPECT_EQ(n_draws, n_wanted_draws) << P << " ranks, rounds of up to " << most;
      EXPECT_LE(made, 2 * n_wanted_draws + 32) << "most of what is drawn is wanted";
    }
}

TEST(NextRound, StartsSmallDoublesWithoutLuckAndFollowsTheAcceptance) {
  EXPECT_EQ(next_round({.n_wanted = 1}), 32);
  EXPECT_EQ(next_round({.n_wanted = 500}), 500) << "one draw gives one sample at most";
  EXPECT_EQ(next_round({.n_wanted = 5000}), 1024) << "but a round ends at `most`";
  EXPECT_EQ(next_round({.n_wanted = 1, .n_draws = 32}), 32);
  EXPECT_EQ(next_round({.n_wanted = 1, .n_draws = 64}), 64);
  EXPECT_EQ(next_round({.n_wanted = 1, .n_draws = 512}), 512);
  EXPECT_EQ(next_round({.n_wanted = 1, .n_draws = 100000}), 1024);
  EXPECT_EQ(next_round({.n_wanted = 20, .n_accepted = 10, .n_draws = 100}), 100)
      << "110 would more than double";
  EXPECT_EQ(next_round({.n_wanted = 15, .n_accepted = 10, .n_draws = 100}), 55);
  EXPECT_EQ(next_round({.n_wanted = 11, .n_accepted = 10, .n_draws = 20}), 32);
  EXPECT_EQ(next_round({.n_wanted = 9, .n_draws = 90, .max_draws = 100}), 10) << "the budget";
}

TEST(DrawsAllowed, AreHalfTheBudgetUntilOneIsAccepted) {
  EXPECT_EQ(draws_allowed(1000, 0), 500);
  EXPECT_EQ(draws_allowed(1001, 0), 501);
  EXPECT_EQ(draws_allowed(1, 0), 1);
  EXPECT_EQ(draws_allowed(1000, 1), 1000);
}

TEST_F(Samplers, RejectionNeedsABound) {
  const TokenScores potential({0.5, -1, 1.2, log_zero}, ScoreMode::bag);
  try {
    RejectionSampler(lm, potential, prompt, T, 3);
    FAIL() << "accepted a potential without a bound";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::config);
    EXPECT_THAT(error.hint(), testing::HasSubstr("target.length"));
  }
}

}  // namespace
}  // namespace twistor::exact
