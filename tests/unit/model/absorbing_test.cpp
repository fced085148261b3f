// SPDX-License-Identifier: Apache-2.0
// The absorbing end-of-text token, against the definition.
#include "twistor/model/absorbing.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/model/log_prob.hpp"
#include "twistor/model/tabular.hpp"

namespace twistor::model {
namespace {

constexpr std::int64_t V = 5, end_token = 3;
using Tokens = std::vector<std::int64_t>;

class Absorbing : public testing::Test {
 protected:
  std::shared_ptr<const TabularModel> base = std::make_shared<TabularModel>(TabularModel::random(V, 7, 1));
  AbsorbingModel lm{base, end_token, 2};
};

/// log p(tokens[i] | tokens before) for i >= 1.
std::vector<double> scores(const LanguageModel& lm, const Tokens& tokens) {
  return score(lm, tokens);
}

TEST_F(Absorbing, LeavesLivePrefixesAlone) {
  const Tokens tokens{0, 1, 2, 4, 0, end_token};
  EXPECT_EQ(scores(lm, tokens), scores(*base, tokens)) << "to the last bit";
}

TEST_F(Absorbing, OnlyTheEndTokenFollowsTheEnd) {
  const std::vector<double> after = scores(lm, {0, 1, end_token, end_token, end_token});
  EXPECT_EQ(after[2], 0.0);
  EXPECT_EQ(after[3], 0.0);
  EXPECT_EQ(scores(lm, {0, 1, end_token, 2})[2], log_zero);
}

TEST_F(Absorbing, AnEndTokenInThePromptIsAnyToken) {
  const Tokens tokens{end_token, end_token, 1, 0};
  EXPECT_EQ(scores(lm, tokens), scores(*base, tokens));
}

TEST_F(Absorbing, StepsAndOnePassAgree) {
  const Tokens tokens{0, 1, 2, end_token, end_token};
  const auto cache = lm.make_cache(1);
  const at::Tensor whole = lm.forward(tokens, *cache);
  const auto stepwise = lm.make_cache(1);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const at::Tensor one = lm.forward(std::span(tokens).subspan(i, 1), *stepwise);
    EXPECT_TRUE(one.select(1, 0).equal(whole.select(1, static_cast<std::int64_t>(i)))) << "token " << i;
  }
}

TEST_F(Absorbing, HiddenStatesAreTheBaseModelsAndTheMask) {
  const Tokens tokens{end_token, 1, 2, end_token, end_token};
  const auto cache = lm.make_cache(1), own = base->make_cache(1);
  const at::Tensor hidden = lm.forward(tokens, *cache)[0];
  EXPECT_EQ(hidden.size(1), lm.hidden_size());
  EXPECT_TRUE(hidden.narrow(1, 0, lm.feature_size()).equal(base->forward(tokens, *own)[0]));
  EXPECT_EQ(lm.mask_of(hidden), (std::vector<char>{0, 0, 0, 1, 1})) << "the prompt has two tokens";
}

TEST_F(Absorbing, SequencesStillSumToOne) {
  double sum = 0;
  Tokens s{0, 1, 0, 0, 0};
  for (s[2] = 0; s[2] < V; ++s[2])
    for (s[3] = 0; s[3] < V; ++s[3])
      for (s[4] = 0; s[4] < V; ++s[4]) {
        const std::vector<double> log_p = scores(lm, s);
        sum += std::exp(log_p[1] + log_p[2] + log_p[3]);
      }
  EXPECT_NEAR(sum, 1.0, 1e-12);
}

TEST_F(Absorbing, IsAnotherModelThanItsBase) {
  EXPECT_NE(lm.fingerprint(), base->fingerprint());
  EXPECT_NE(lm.fingerprint(), AbsorbingModel(base, 2, 2).fingerprint());
  EXPECT_EQ(lm.absorbing_token(), end_token);
  EXPECT_EQ(base->absorbing_token(), -1);
  EXPECT_THROW(AbsorbingModel(base, V, 2), Error);
  EXPECT_THROW(AbsorbingModel(base, -1, 2), Error);
}

TEST(EndRule, MarksCarriesAndMovesToTheEnd) {
  const EndRule rule(9);
  const Tokens tokens{1, 9, 9, 9, /**/ 9, 9, 9, 9, /**/ 1, 2, 3, 9};
  EXPECT_EQ(rule.mask(tokens, 4), (std::vector<char>{0, 0, 1, 1, 0, 1, 1, 1, 0, 0, 0, 0}));
  std::vector<double> psi{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, weight = psi;
  rule.carry(tokens, 4, psi);
  EXPECT_EQ(psi, (std::vector<double>{1, 2, 2, 2, 5, 5, 5, 5, 9, 10, 11, 12}));
  rule.move_to_end(tokens, 4, weight);
  EXPECT_EQ(weight, (std::vector<double>{1, 9, 0, 0, 26, 0, 0, 0, 9, 10, 11, 12}));
}

TEST(EndRule, ByDefaultNothingEnds) {
  const EndRule never;
  const Tokens tokens{-1, 0, 0};
  std::vector<double> psi{1, 2, 3};
  never.carry(tokens, 3, psi);
  never.move_to_end(tokens, 3, psi);
  EXPECT_EQ(psi, (std::vector<double>{1, 2, 3}));
  EXPECT_EQ(never.mask(tokens, 3), (std::vector<char>{0, 0, 0}));
  EXPECT_FALSE(never.can_end());
  EXPECT_EQ(never, EndRule(-1));
}

TEST(EndRule, UntilEndKeepsTheFirstEndToken) {
  const Tokens tokens{4, 3, 1, 3};
  EXPECT_EQ(EndRule(3).until_end(tokens).size(), 2u);
  EXPECT_EQ(EndRule(2).until_end(tokens).size(), 4u);
  EXPECT_EQ(EndRule(-1).until_end(tokens).size(), 4u);
  EXPECT_EQ(EndRule(3).before_end(tokens).size(), 1u);
  EXPECT_EQ(EndRule(2).before_end(tokens).size(), 4u);
  EXPECT_EQ(EndRule({1, 3}).until_end(tokens).size(), 2u);
  EXPECT_EQ(EndRule({1, 4}).before_end(tokens).size(), 0u);
}

TEST(EndRule, SeveralTokensEndATextAndTheFirstFollows) {
  const EndRule rule({0, 7, 0});  // id 0 is a token as any other
  EXPECT_EQ(rule.token(), 0);
  EXPECT_EQ(rule.tokens(), (Tokens{0, 7}));
  const Tokens tokens{1, 7, 0, 0, /**/ 0, 0, 0, 0, /**/ 1, 2, 3, 7};
  EXPECT_EQ(rule.mask(tokens, 4), (std::vector<char>{0, 0, 1, 1, 0, 1, 1, 1, 0, 0, 0, 0}));
  EXPECT_NE(rule, EndRule(0));
}

/// Every text has one continuation after its end, whichever token ended it: without the canonical one each
/// sequence that ended early would count once for every way to fill it up.
TEST_F(Absorbing, SeveralEndTokensShareOneContinuation) {
  const AbsorbingModel two(base, EndRule({end_token, 0}), 2);
  const std::vector<double> after = scores(two, {1, 2, 0, end_token, end_token});
  EXPECT_EQ(after[1], scores(*base, {1, 2, 0})[1]);
  EXPECT_EQ(after[2], 0.0);
  EXPECT_EQ(after[3], 0.0);
  EXPECT_EQ(scores(two, {1, 2, 0, 0})[2], log_zero);
  double total = 0;
  std::int64_t n_possible = 0;
  for (std::int64_t a = 0; a < V; ++a)
    for (std::int64_t b = 0; b < V; ++b)
      for (std::int64_t c = 0; c < V; ++c) {
        const std::vector<double> log_p = scores(two, {1, 2, a, b, c});
        const double p = std::exp(log_p[1] + log_p[2] + log_p[3]);
        total += p;
        n_possible += p > 0 ? 1 : 0;
      }
  EXPECT_NEAR(total, 1.0, 1e-12);
  EXPECT_EQ(n_possible, 2 + 3 * 2 + 3 * 3 * V) << "ended at the first token, at the second, or later";
  EXPECT_NE(two.fingerprint(), lm.fingerprint());
  EXPECT_THROW(AbsorbingModel(base, EndRule({0, V}), 2), Error);
  EXPECT_THROW(AbsorbingModel(base, EndRule(), 2), Error);
}

}  // namespace
}  // namespace twistor::model
