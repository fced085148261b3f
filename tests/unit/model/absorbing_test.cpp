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

TEST(UntilEnd, KeepsTheFirstEndToken) {
  const Tokens tokens{4, 3, 1, 3};
  EXPECT_EQ(until_end(tokens, 3).size(), 2u);
  EXPECT_EQ(until_end(tokens, 2).size(), 4u);
  EXPECT_EQ(until_end(tokens, -1).size(), 4u);
  EXPECT_EQ(before_end(tokens, 3).size(), 1u);
  EXPECT_EQ(before_end(tokens, 2).size(), 4u);
}

}  // namespace
}  // namespace twistor::model
