// SPDX-License-Identifier: Apache-2.0
// One twist on many prompts: which update has which, a list of one prompt is that prompt, and ranks do not
// show.
#include "twistor/learn/prompts.hpp"

#include <gtest/gtest.h>

#include <set>

#include "support/tiny_learning.hpp"

namespace twistor::learn {
namespace {

TEST(PromptOrder, HasEachPromptOnceInEveryRound) {
  PromptOrder order(3, 7);
  std::set<std::vector<std::size_t>> rounds;
  for (std::int64_t round = 0; round < 6; ++round) {
    std::vector<std::size_t> one;
    for (std::int64_t i = 0; i < 7; ++i) one.push_back(order.of_update(7 * round + i));
    EXPECT_EQ(std::set<std::size_t>(one.begin(), one.end()).size(), 7u);
    rounds.insert(one);
  }
  EXPECT_GT(rounds.size(), 4u) << "of 5040 orders, six are seldom alike";
  PromptOrder later(3, 7), other(4, 7);
  EXPECT_EQ(later.of_update(30), order.of_update(30)) << "whatever was asked before";
  bool differs = false;
  for (std::int64_t i = 0; i < 7; ++i) differs |= other.of_update(i) != order.of_update(i);
  EXPECT_TRUE(differs);
}

TEST(PositivesOfPrompts, AreThoseThatNeedNoEarlierSamples) {
  const auto settled = [](Positives positives) {
    ObjectiveOptions options;
    options.positives = positives;
    return settle_positives_of_prompts(options, {});
  };
  EXPECT_EQ(settled(Positives::automatic).options.positives, Positives::weighted);
  EXPECT_FALSE(settled(Positives::automatic).why.empty());
  EXPECT_EQ(settled(Positives::smc).options.positives, Positives::smc);
  for (const Positives positives : {Positives::exact, Positives::both, Positives::conditional})
    EXPECT_ANY_THROW((void)settled(positives));
  TrainOptions known;
  known.known_positive = {1};
  EXPECT_ANY_THROW((void)settle_positives_of_prompts({}, known));
}

/// Learns with samples of q alone.
class OnPrompts : public testing::Test {
 protected:
  using Values = std::vector<std::vector<float>>;

  [[nodiscard]] std::unique_ptr<Objective> objective() const {
    return make_objective("ctl", {.batch = 24, .positives = Positives::weighted});
  }
  [[nodiscard]] std::unique_ptr<twist::Trainable> twist() const {
    return twist::make_twist("linear", {.width = lm->feature_size(),
                                        .vocab_size = lm->vocab_size(),
                                        .init_scale = 1.0,
                                        .seed = 8,
                                        .engine = lm->engine(),
                                        .output_matrix = lm->output_matrix()});
  }
  [[nodiscard]] static TrainOptions options() {
    TrainOptions out;
    out.length = 5;
    out.adam.learning_rate = 3e-3;
    out.seed = 6;
    return out;
  }
  /// Six updates on the list.
  [[nodiscard]] Values learned(const std::vector<LearningPrompt>& list,
                               const comm::Communicator& comm) const {
    const auto learner = twist();
    const smc::Problem first{*lm, list.front().prompt, potential};
    const Prompts prompts{lm, potential, list};
    Trainer trainer(first, *learner, objective(), options(), prompts, comm);
    for (int i = 0; i < 6; ++i) (void)trainer.update();
    return values(*learner);
  }
  static Values values(const twist::Trainable& learner) {
    Values out;
    for (const twist::Parameter& p : learner.parameters()) out.push_back(p.value);
    return out;
  }

  std::shared_ptr<const model::LanguageModel> lm = model::load_language_model(
      std::filesystem::path(TWISTOR_SOURCE_DIR) / "models/tiny", {device::Precision::float32, {}});
  std::vector<std::int64_t> one{3, 7, 11, 4}, two{5, 9}, three{2, 3, 4, 5, 6, 7};
  test::RoughPotential potential{3.0};
  comm::Communicator self = comm::Communicator::self(), world = comm::Communicator::world();
};

TEST_F(OnPrompts, AListOfOneIsThatPrompt) {
  const auto learner = twist();
  const smc::Problem problem{*lm, one, potential};
  const exact::Source none{};
  Trainer trainer(problem, *learner, objective(), options(), none, world);
  for (int i = 0; i < 6; ++i) (void)trainer.update();
  EXPECT_EQ(learned({{one, 5}}, world), values(*learner));
  EXPECT_NE(learned({{two, 5}}, world), values(*learner));
  EXPECT_NE(learned({{one, 4}}, world), values(*learner)) << "with a length of its own";
}

TEST_F(OnPrompts, RanksDoNotShow) {
  const std::vector<LearningPrompt> list{{one, 5}, {two, 3}, {three, 4}};
  EXPECT_EQ(learned(list, world), learned(list, self));
}

TEST_F(OnPrompts, ReportsWhichPromptAnUpdateHad) {
  const auto learner = twist();
  const std::vector<LearningPrompt> list{{one, 5}, {two, 3}, {three, 4}};
  const smc::Problem first{*lm, one, potential};
  Trainer trainer(first, *learner, objective(), options(), Prompts{lm, potential, list}, world);
  std::set<double> seen;
  for (int i = 0; i < 3; ++i) {
    const UpdateReport report = trainer.update();
    EXPECT_EQ(report.numbers.back().first, "prompt");
    seen.insert(report.numbers.back().second);
  }
  EXPECT_EQ(seen, (std::set<double>{0, 1, 2}));
}

TEST_F(OnPrompts, PositivesOfOneTargetAreRefused) {
  const auto learner = twist();
  const smc::Problem first{*lm, one, potential};
  const Prompts prompts{lm, potential, {{one, 5}}};
  for (const Positives positives : {Positives::exact, Positives::conditional})
    EXPECT_ANY_THROW(
        Trainer(first, *learner, make_objective("ctl", {.positives = positives}), options(), prompts, world));
}

}  // namespace
}  // namespace twistor::learn
