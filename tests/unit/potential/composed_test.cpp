// SPDX-License-Identifier: Apache-2.0
// Powers of the model, sets of words and products of potentials, against values and sums worked out here.
#include <gmock/gmock.h>

#include <cmath>

#include "potential/kinds/keywords.hpp"
#include "potential/kinds/power.hpp"
#include "potential/kinds/product.hpp"
#include "support/error_of.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/model/absorbing.hpp"
#include "twistor/potential/registry.hpp"
#include "unit/potential/brute_force.hpp"

namespace twistor::potential {
namespace {

using test::error_of;
using testing::HasSubstr;

constexpr std::int64_t V = 4, T = 3;
const Tokens prompt{1, 2};

TEST(Power, IsThatOfTheModel) {
  const model::TabularModel lm = model::TabularModel::random(V, 12, 5);
  for (const double alpha : {0.25, 1.0, 2.0, 4.0}) {
    const PowerPotential potential(lm, alpha, 7);  // batches of an odd size
    Tokens flat;
    std::vector<double> log_power;
    for (const Tokens& s : all_sequences(V, T)) {
      flat.insert(flat.end(), s.begin(), s.end());
      log_power.push_back(alpha * log_p0(lm, prompt, s));
    }
    const std::vector<double> log_phi = potential.log_phi({prompt, flat, T});
    for (std::size_t i = 0; i < log_phi.size(); ++i)
      EXPECT_NEAR(log_phi[i], log_power[i] * (alpha - 1) / alpha, 1e-12);
    // sigma is p0^alpha: Z, the sum of p0 phi, is that of powers.
    std::vector<double> log_sigma;
    for (std::size_t i = 0; i < log_phi.size(); ++i) log_sigma.push_back(log_power[i] / alpha + log_phi[i]);
    EXPECT_NEAR(log_sum_exp(log_sigma), log_sum_exp(log_power), 1e-11);
    EXPECT_EQ(std::isinf(potential.log_phi_bound()), alpha < 1);
    for (const double value : log_phi) EXPECT_LE(value, potential.log_phi_bound());
  }
}

TEST(Power, LeavesAloneWhatFollowsTheEndOfAText) {
  const auto base = std::make_shared<model::TabularModel>(model::TabularModel::random(V, 12, 5));
  const model::AbsorbingModel lm(base, 0, 2);
  const PowerPotential potential(lm, 3);
  EXPECT_NEAR(log_phi_of(potential, prompt, {3, 0, 0}), 2 * log_p0(*base, prompt, {3, 0}), 1e-12);
  EXPECT_EQ(log_phi_of(potential, prompt, {0, 1, 2}), log_zero);  // p0 = 0, and p0^alpha too
  EXPECT_EQ(log_phi_of(PowerPotential(lm, 0.5), prompt, {0, 1, 2}), log_zero);
  EXPECT_THAT(error_of([&] { (void)PowerPotential(lm, 0); }).text(), HasSubstr("target.alpha is 0"));
}

TEST(Keywords, AreWholeWordsWhateverTheirTokens) {
  EXPECT_TRUE(has_word("the fox ate.", "ate"));
  EXPECT_TRUE(has_word("ate", "ate"));
  EXPECT_TRUE(has_word("plate, ate", "ate"));
  EXPECT_FALSE(has_word("the plates", "ate"));
  EXPECT_FALSE(has_word("ate_up", "ate"));
  EXPECT_FALSE(has_word("\u00e9ate", "ate"));  // a letter of two bytes before it
  EXPECT_TRUE(has_word("a big dog ran", "big dog"));
  EXPECT_FALSE(has_word("Ate", "ate"));
}

TEST(Keywords, AskForAllOneAndNone) {
  const std::vector<std::string> texts{"a dog and a cat ran", "a dog ran", "a dog and a bird slept",
                                       "a dog and a cat ran off", ""};
  const KeywordsScorer scorer({{"dog"}, {"cat", "bird"}, {"off"}}, -2);
  EXPECT_EQ(scorer.log_phi(texts), (std::vector<double>{0, -2, 0, -2, -2}));
  EXPECT_EQ(KeywordsScorer({{}, {}, {"off"}}, -2).log_phi(texts), (std::vector<double>{0, 0, 0, -2, 0}));
  EXPECT_EQ(KeywordsScorer({{"dog", "cat"}, {}, {}}, -2).log_phi(texts),
            (std::vector<double>{0, -2, -2, 0, -2}));
  EXPECT_EQ(scorer.log_phi_bound(), 0);
  EXPECT_THAT(error_of([] { (void)KeywordsScorer({}, 0); }).text(), HasSubstr("there are no words"));
  EXPECT_THAT(error_of([] {
                (void)KeywordsScorer({{"a"}, {}, {"a"}}, 0);
              }).text(),
              HasSubstr("'a' is in target.all_of and in target.none_of"));
}

/// Short texts over pieces that words are made of.
std::string random_text(std::uint64_t i) {
  const std::vector<std::string> pieces{"ab", "a", " ", "c", "+", "++", "\u00e9", "-", "b c", "_"};
  Philox random(11, Stream::test, 0, i);
  std::string out;
  for (int left = static_cast<int>(random.uniform() * 12); left > 0; --left)
    out += pieces[static_cast<std::size_t>(random.uniform() * static_cast<double>(pieces.size()))];
  return out;
}

TEST(Keywords, AreDecidedAlikeByTheirAutomaton) {
  for (const Keywords& words :
       {Keywords{{"ab"}, {}, {}}, Keywords{{"ab", "b c", "c++"}, {}, {}}, Keywords{{}, {"a", "\u00e9"}, {}},
        Keywords{{}, {}, {"ab", "-"}}, Keywords{{"a"}, {"++", "b"}, {"c", "\u00e9b"}}}) {
    const KeywordsScorer scorer(words, -2);
    const auto automaton = scorer.automaton();
    ASSERT_TRUE(automaton.has_value());
    EXPECT_EQ(automaton->log_floor, -2);
    int n_fine = 0;
    constexpr int n = 3000;
    for (std::uint64_t i = 0; i < n; ++i) {
      const std::vector<std::string> text{random_text(i)};
      const bool is_fine = scorer.log_phi(text)[0] == 0;
      const auto& bytes = automaton->bytes;
      ASSERT_EQ(bytes.is_match(bytes.walk(bytes.start(), text[0])), is_fine)
          << testing::PrintToString(text[0]);
      n_fine += is_fine ? 1 : 0;
    }
    EXPECT_GT(n_fine, 0);
    EXPECT_LT(n_fine, n);
  }
}

PotentialOptions product(double weight_a, double weight_b) {
  PotentialOptions options;
  options.potential = "product";
  options.length = T;
  Factor& a = options.factors["factor.a"];
  a.weight = weight_a;
  a.options.potential = "contains";
  a.options.ids = {2};
  a.options.log_floor = -3;
  Factor& b = options.factors["factor.b"];
  b.weight = weight_b;
  b.options.potential = "tokens";
  b.options.scores = {0.5, -1, log_zero, 2};
  b.options.beta = 0.5;
  return options;
}

TEST(Product, AddsLogarithmsByWeight) {
  const TargetContext context;
  const auto potential = make_potential(product(2, 3), context);
  EXPECT_EQ(log_phi_of(*potential, prompt, {0, 1, 3}), 2 * -3 + 3 * 0.5 * (0.5 - 1 + 2));
  EXPECT_EQ(log_phi_of(*potential, prompt, {0, 2, 3}), log_zero);  // -inf of the second factor
  EXPECT_EQ(potential->log_phi_bound(), 3 * 0.5 * T * 2);
  EXPECT_THAT(potential->description(), HasSubstr("factor.a to the power 2 (contains"));
}

TEST(Product, IsAnotherTargetWithOtherFactors) {
  const TargetContext context;
  const PotentialOptions one = product(2, 3), other = product(2, 3.5);
  EXPECT_EQ(identity(*make_potential(one, context), one), identity(*make_potential(one, context), one));
  EXPECT_NE(digest(one), digest(other));
  PotentialOptions changed = one;
  changed.factors["factor.a"].options.ids = {3};
  EXPECT_NE(digest(one), digest(changed));
}

TEST(Product, RefusesWhatMakesNoProduct) {
  const TargetContext context;
  const auto message = [&](const PotentialOptions& options) {
    return error_of([&] { (void)make_potential(options, context); }).text();
  };
  PotentialOptions options = product(0, 1);
  EXPECT_THAT(message(options), HasSubstr("factor.a.weight is 0"));
  options = product(1, 1);
  options.factors["factor.b"].options.potential = "product";
  EXPECT_THAT(message(options), HasSubstr("factor.b.potential is product"));
  options = product(1, 1);
  options.factors["factor.b"].options.pattern = "x";
  EXPECT_THAT(message(options),
              HasSubstr("making factor.b: making the potential 'tokens': target.pattern is set"));
  options.factors.clear();
  EXPECT_THAT(message(options), HasSubstr("there are no factors"));
  options.potential = "power";
  options.factors["factor.a"] = {};
  EXPECT_THAT(message(options), HasSubstr("target.factors is set"));
}

}  // namespace
}  // namespace twistor::potential
