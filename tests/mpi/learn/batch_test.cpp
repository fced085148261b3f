// SPDX-License-Identifier: Apache-2.0
// Batches: what they hold once a text has ended, and when the twist has changed.
#include "twistor/learn/batch.hpp"

#include <gtest/gtest.h>

#include <memory>

#include "support/tiny_learning.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/model/absorbing.hpp"

namespace twistor::learn {
namespace {

class Batches : public testing::TestWithParam<bool> {
 protected:
  Batches() {
    if (!GetParam()) return;
    // The commonest token ends a text, so that many end early.
    task.lm = std::make_unique<model::AbsorbingModel>(std::move(task.lm), task.exact_tokens[0], 4);
  }
  [[nodiscard]] std::unique_ptr<twist::Trainable> twist(std::uint64_t seed) const {
    return twist::make_twist("mlp", {.width = task.lm->hidden_size(),
                                     .vocab_size = task.lm->vocab_size(),
                                     .init_scale = 1.0,
                                     .seed = seed});
  }

  comm::Communicator world = comm::Communicator::world();
  test::TinyTask task;
};

TEST_P(Batches, HaveTheLogPsiOfTheTwistThatTheyAreScoredWith) {
  const smc::Problem problem{*task.lm, task.prompt, task.potential};
  BatchSource source(problem, test::TinyTask::T, Shards(8, world), task.source, world);
  smc::SweepCounters counters;
  const auto one = twist(3), other = twist(4);
  for (const Source kind : {Source::proposal, Source::base, Source::exact}) {
    Batch batch = source.draw({kind, 40}, 0, *one, 7, counters);
    const std::vector<double> drawn = batch.samples.log_psi;
    source.rescore(batch, *other);
    if (!drawn.empty()) {
      EXPECT_NE(batch.samples.log_psi, drawn);
    }
    source.rescore(batch, *one);
    EXPECT_EQ(batch.samples.log_psi, drawn);
  }
}

TEST_P(Batches, KeepPsiAsItWasOnceATextHasEnded) {
  const smc::Problem problem{*task.lm, task.prompt, task.potential};
  BatchSource source(problem, test::TinyTask::T, Shards(8, world), task.source, world);
  smc::SweepCounters counters;
  const auto psi = twist(3);
  const std::int64_t end = task.lm->absorbing_token();
  for (const Source kind : {Source::proposal, Source::exact}) {
    const Batch batch = source.draw({kind, 40}, 0, *psi, 7, counters);
    const smc::Population& p = batch.samples;
    for (std::int64_t i = 0; i < p.size(); ++i)
      for (std::int64_t t = 1; t < p.T; ++t)
        if (p.tokens[p.at(i, t - 1)] == end) {
          EXPECT_EQ(p.log_psi[p.at(i, t)], p.log_psi[p.at(i, t - 1)]);
        }
  }
}

INSTANTIATE_TEST_SUITE_P(Texts, Batches, testing::Bool(), [](const auto& test) {
  return test.param ? std::string("ThatMayEnd") : std::string("OfFixedLength");
});

/// 90 draws from 20 samples and more than one chunk of forward passes, whatever is kept.
TEST(ExactBatches, AreTheSameHoweverManyHiddenStatesAreKept) {
  const comm::Communicator world = comm::Communicator::world();
  test::TinyTask task;
  const std::unique_ptr<twist::Trainable> psi = twist::make_twist(
      "mlp",
      {.width = task.lm->hidden_size(), .vocab_size = task.lm->vocab_size(), .init_scale = 1.0, .seed = 3});
  const auto bytes_each = test::TinyTask::T * task.lm->hidden_size() * 4;
  smc::SweepCounters counters;
  BatchSource all(task.problem, test::TinyTask::T, Shards(8, world), task.source, world),
      few(task.problem, test::TinyTask::T, Shards(8, world), task.source, world, {}, 3 * bytes_each),
      none(task.problem, test::TinyTask::T, Shards(8, world), task.source, world, {}, 0);
  for (const std::uint64_t seed : {7U, 8U}) {
    const Batch a = all.draw({Source::exact, 90}, 0, *psi, seed, counters);
    for (BatchSource* const source : {&few, &none}) {
      const Batch b = source->draw({Source::exact, 90}, 0, *psi, seed, counters);
      EXPECT_EQ(a.samples.tokens, b.samples.tokens);
      EXPECT_EQ(a.samples.log_psi, b.samples.log_psi);
      ASSERT_EQ(a.hidden.size(), b.hidden.size());
      for (std::size_t i = 0; i < a.hidden.size(); ++i) EXPECT_TRUE(a.hidden[i].equal(b.hidden[i]));
    }
  }
}

TEST(Shards, ShareOutEveryBatch) {
  const comm::Communicator world = comm::Communicator::world();
  const Shards shards(8, world);
  for (const std::int64_t n : {1, 7, 8, 61}) {
    std::int64_t all = shards.begin(n, shards.n_local);
    EXPECT_EQ(shards.begin(n, 0), 0);
    comm::all_reduce_sum(std::span(&all, 1), world);
    EXPECT_EQ(all, n);
  }
}

}  // namespace
}  // namespace twistor::learn
