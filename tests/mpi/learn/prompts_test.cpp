// SPDX-License-Identifier: Apache-2.0
// One twist on many prompts: which update has which, a list of one prompt is that prompt, and ranks do not
// show.
#include "twistor/learn/prompts.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "learn/islands.hpp"
#include "support/error_of.hpp"
#include "support/tiny_learning.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/base/philox.hpp"

namespace twistor::learn {
namespace {

TEST(PromptOrder, HasEachPromptOnceInEveryRound) {
  PromptOrder order(3, 7);
  std::set<std::vector<std::size_t>> rounds;
  for (std::int64_t round = 0; round < 6; ++round) {
    std::vector<std::size_t> one;
    for (std::int64_t i = 0; i < 7; ++i) one.push_back(order.of_turn(7 * round + i));
    EXPECT_EQ(std::set<std::size_t>(one.begin(), one.end()).size(), 7u);
    rounds.insert(one);
  }
  EXPECT_GT(rounds.size(), 4u) << "of 5040 orders, six are seldom alike";
  PromptOrder later(3, 7), other(4, 7);
  EXPECT_EQ(later.of_turn(30), order.of_turn(30)) << "whatever was asked before";
  bool differs = false;
  for (std::int64_t i = 0; i < 7; ++i) differs |= other.of_turn(i) != order.of_turn(i);
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

TEST(PositivesOfPrompts, ArePartsOfBothBatches) {
  const auto part = [](std::int64_t batch, std::int64_t positive_batch, Positives positives) {
    return settle_positives_of_prompts({.batch = batch,
                                        .positive_batch = positive_batch,
                                        .prompts_per_update = 3,
                                        .positives = positives},
                                       {})
        .options;
  };
  EXPECT_EQ(part(24, 64, Positives::automatic).batch, 8) << "weighted positives are the batch's own";
  EXPECT_EQ(part(24, 60, Positives::smc).positive_batch, 20);
  const auto refusal = [&](std::int64_t batch, std::int64_t positive_batch) {
    return test::message_of([&] { (void)part(batch, positive_batch, Positives::smc); });
  };
  EXPECT_NE(refusal(25, 60).find("3 prompts cannot share train.batch = 25"), std::string::npos);
  EXPECT_NE(refusal(24, 64).find("train.positive_batch = 64"), std::string::npos);
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
  struct Several {
    const char* objective;
    Positives positives;
    std::int64_t inner_epochs;
  };
  /// Batches of 6 for each of `per_update` prompts.
  [[nodiscard]] static ObjectiveOptions part_of(const Several& s) {
    return {.batch = 6, .positive_batch = 6, .positives = s.positives, .inner_epochs = s.inner_epochs};
  }
  [[nodiscard]] std::unique_ptr<twist::Trainable> twist_for(const Objective& o) const {
    return twist::make_twist("linear", {.width = lm->feature_size(),
                                        .vocab_size = lm->vocab_size(),
                                        .init_scale = 1.0,
                                        .seed = 8,
                                        .link = o.link(),
                                        .has_value = o.has_value(),
                                        .engine = lm->engine(),
                                        .output_matrix = lm->output_matrix()});
  }
  static constexpr Several several[] = {{"ctl", Positives::weighted, 0},
                                        {"ctl", Positives::smc, 0},
                                        {"dpg", Positives::weighted, 0},
                                        {"rl", Positives::weighted, 2},
                                        {"ppo", Positives::weighted, 2}};

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
    for (const twist::Parameter& p : learner.parameters()) out.emplace_back(p.value.begin(), p.value.end());
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

// The oracle of an update on several prompts: each is drawn and asked about by itself, and counts one nth.
TEST_F(OnPrompts, SeveralAtOnceAreEachByItself) {
  if (world.size() > 1) GTEST_SKIP() << "one rank is enough";
  const std::vector<LearningPrompt> list{{one, 5}, {two, 3}, {three, 4}, {two, 4}};
  const Prompts prompts{lm, potential, list, 3};
  for (const Several& s : several) {
    const std::string name = s.objective;
    const auto objective = make_objective(name, part_of(s));
    const auto learner = twist_for(*objective);
    const Shards shards(2, self);
    PromptIslands islands(prompts, 6, shards, self);
    PromptOrder order(6, list.size());
    UpdateTimes times;
    constexpr std::int64_t update = 2;  // turns 6, 7 and 8: two of the second round, one of the third
    islands.draw(*objective, *learner, 99, update, times);
    const Islands::Summary summary =
        islands.terms(*objective, *learner, update, [](Terms& terms, std::span<const Batch>) {
          if (!terms.loss) terms.loss.emplace();
        });
    EXPECT_TRUE(summary.skipped.empty()) << name;
    std::int64_t i = 0;
    double loss = 0;
    for (std::int64_t shard = 0; shard < 2; ++shard)
      for (const Island& island : islands.of_shard(shard)) {
        const LearningPrompt& prompt = list[order.of_turn(update * 3 + i)];
        const smc::PromptedProblem alone(lm, prompt.prompt, potential);
        const exact::Source none{};
        const std::uint64_t seed = derive_seed(99, Stream::island, static_cast<std::uint64_t>(i++));
        BatchSource source(alone.problem(), prompt.length, Shards(1, self), none, self,
                           {objective->may_resample(), {}});
        std::vector<Batch> batches;
        smc::SweepCounters counters;
        for (const Request& request : objective->wants())
          batches.push_back(source.draw(request, 0, *learner, seed, counters));
        ASSERT_EQ(batches.size(), island.batches.size()) << name;
        for (std::size_t b = 0; b < batches.size(); ++b) {
          EXPECT_EQ(batches[b].samples.tokens, island.batches[b].samples.tokens) << name;
          EXPECT_EQ(batches[b].samples.T, prompt.length) << name;
          EXPECT_EQ(batches[b].samples.log_psi, island.batches[b].samples.log_psi) << name;
          EXPECT_EQ(batches[b].weight, island.batches[b].weight) << name;
        }
        if (objective->n_sums() > 0) continue;  // what is taken over all islands is another test's
        Terms terms = objective->terms(batches, {alone.problem(), *learner, update}, self);
        loss += terms.loss ? terms.loss->value() / 3 : 0;
        for (std::size_t b = 0; b < batches.size(); ++b) {
          ASSERT_EQ(terms.on_score[b].size(), island.terms.on_score[b].size());
          for (std::size_t j = 0; j < terms.on_score[b].size(); ++j)
            EXPECT_EQ(terms.on_score[b][j] * (1.0 / 3), island.terms.on_score[b][j]) << name;
        }
      }
    EXPECT_EQ(i, 3);
    if (objective->n_sums() == 0) {
      EXPECT_NEAR(summary.loss, loss, 1e-12) << name;
    }
  }
}

TEST_F(OnPrompts, SeveralAtOnceHaveTheSameBitsOnAnyNumberOfRanks) {
  const std::vector<LearningPrompt> list{{one, 5}, {two, 3}, {three, 4}, {two, 4}};
  const Prompts prompts{lm, potential, list, 3};
  const smc::Problem first{*lm, one, potential};
  for (const Several& s : several) {
    std::vector<Values> learned_values;
    std::vector<std::vector<std::pair<std::string, double>>> told;
    for (const comm::Communicator* const comm : {&self, &world}) {
      auto objective = make_objective(s.objective, part_of(s));
      const auto learner = twist_for(*objective);
      Trainer trainer(first, *learner, std::move(objective), options(), prompts, *comm);
      std::vector<std::pair<std::string, double>> numbers;
      for (int i = 0; i < 4; ++i) {
        const UpdateReport report = trainer.update();
        EXPECT_TRUE(report.skipped.empty());
        EXPECT_TRUE(std::isfinite(report.loss));
        numbers.emplace_back("loss", report.loss);
        numbers.emplace_back("log_z", report.log_z);
        numbers.insert(numbers.end(), report.numbers.begin(), report.numbers.end());
      }
      EXPECT_EQ(trainer.n_samples() % 72, 0) << "18 or 36 samples in each of four updates";
      EXPECT_GT(trainer.n_samples(), 0);
      learned_values.push_back(values(*learner));
      told.push_back(std::move(numbers));
    }
    EXPECT_EQ(learned_values[0], learned_values[1]) << s.objective;
    EXPECT_EQ(told[0], told[1]) << s.objective;
  }
}

TEST_F(OnPrompts, SeveralAtOnceGoOnFromASavedState) {
  if (world.size() > 1) GTEST_SKIP() << "one rank is enough";
  const std::vector<LearningPrompt> list{{one, 5}, {two, 3}, {three, 4}};
  const Prompts prompts{lm, potential, list, 2};
  const smc::Problem first{*lm, one, potential};
  const auto make = [&](twist::Trainable& learner) {
    return Trainer(first, learner, make_objective("ctl", part_of(several[0])), options(), prompts, self);
  };
  const auto whole = twist(), part = twist(), rest = twist();
  Trainer all = make(*whole), before = make(*part), after = make(*rest);
  for (int i = 0; i < 5; ++i) (void)all.update();
  for (int i = 0; i < 2; ++i) (void)before.update();
  test::MemoryState state;
  before.visit_state(state);
  state.restores = true;
  after.visit_state(state);
  for (int i = 0; i < 3; ++i) (void)after.update();
  EXPECT_EQ(values(*whole), values(*rest));
  EXPECT_NE(values(*whole), values(*part));
}

// phi = 0 for all of one prompt's samples: the others teach, and the numbers are theirs.
TEST_F(OnPrompts, APromptWithoutPositivesIsLeftOut) {
  class NotOfThree final : public potential::Potential {
   public:
    std::vector<double> log_phi(const potential::Sequences& s) const override {
      return std::vector<double>(static_cast<std::size_t>(s.size()), s.length == 3 ? log_zero : 0.0);
    }
    double log_phi_bound() const override { return 0; }
    std::string description() const override { return "nothing of three tokens"; }
  };
  const NotOfThree none_of_three;
  const std::vector<LearningPrompt> list{{one, 5}, {two, 3}};
  const smc::Problem first{*lm, one, none_of_three};
  for (const Positives positives : {Positives::weighted, Positives::smc}) {
    const auto learner = twist();
    Trainer trainer(first, *learner, make_objective("ctl", part_of({"ctl", positives, 0})), options(),
                    Prompts{lm, none_of_three, list, 2}, world);
    const Values before = values(*learner);
    const UpdateReport report = trainer.update();
    EXPECT_TRUE(report.skipped.empty());
    EXPECT_NE(values(*learner), before);
    const auto power = std::ranges::find(report.numbers, "phi_power", &std::pair<std::string, double>::first);
    ASSERT_NE(power, report.numbers.end());
    EXPECT_EQ(power->second, 1);
    const std::vector<LearningPrompt> barren{{two, 3}, {one, 3}};
    Trainer idle(first, *learner, make_objective("ctl", part_of({"ctl", positives, 0})), options(),
                 Prompts{lm, none_of_three, barren, 2}, world);
    EXPECT_FALSE(idle.update().skipped.empty()) << "there is nothing to learn from any of them";
  }
}

TEST_F(OnPrompts, MoreAtOnceThanThereAreAreRefused) {
  const auto learner = twist();
  const smc::Problem first{*lm, one, potential};
  const std::string refusal = test::message_of([&] {
    Trainer(first, *learner, objective(), options(), Prompts{lm, potential, {{one, 5}}, 2}, world);
  });
  EXPECT_NE(refusal.find("train.prompts_per_update = 2, and there are 1 prompts"), std::string::npos)
      << refusal;
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
