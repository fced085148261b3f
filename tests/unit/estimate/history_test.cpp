// SPDX-License-Identifier: Apache-2.0
// Which evaluation of a run is the best, and what of it goes through checkpoints.
#include "twistor/estimate/history.hpp"

#include <gtest/gtest.h>

namespace twistor::estimate {
namespace {

/// One whose SMC bounds of log Z are so far apart.
Evaluation with_gap(std::int64_t update, double gap) {
  Findings found;
  found.repeats = {{-9, 9, -gap, 0, 0.5, 4, {8, 4}, 3, {8, 5}}, {-9, 9, -gap, 0, 0.5, 4, {8, 4}, 3, {8, 5}}};
  found.q = {{-2, 0.5, 1, 0}, {-3, 1, 2, 0.25}};
  found.g = {-1, 0};
  Evaluation e = make_evaluation(found, {});
  e.update = update;
  return e;
}

TEST(History, KeepsTheBestAndCountsThoseSince) {
  History history;
  EXPECT_TRUE(history.note(with_gap(10, 3)));
  EXPECT_FALSE(history.note(with_gap(20, 4)));
  EXPECT_FALSE(history.note(with_gap(30, 3))) << "an equal one is no better";
  EXPECT_EQ(history.best->update, 10);
  EXPECT_EQ(history.n_worse, 2);
  EXPECT_TRUE(history.note(with_gap(40, 2)));
  EXPECT_EQ(history.best->update, 40);
  EXPECT_EQ(history.n_worse, 0);
}

TEST(History, OneThatIsMadeOnceMoreChangesNothing) {
  History history;
  (void)history.note(with_gap(10, 3));
  (void)history.note(with_gap(20, 4));
  EXPECT_FALSE(history.note(with_gap(10, 1)));
  EXPECT_EQ(history.n_worse, 1);
  EXPECT_NEAR(distance_from_target(*history.best), 3, 1e-12);
}

TEST(History, GoesThroughNumbers) {
  History history;
  history.first = with_gap(0, 5);
  (void)history.note(with_gap(10, 3));
  (void)history.note(with_gap(20, 4));
  history.note_round(with_gap(10, 3));
  history.note_round(with_gap(20, 9));
  history.note_round(with_gap(20, 4));  // made once more
  const History back = history_from_numbers(to_numbers(history));
  ASSERT_EQ(back.rounds.size(), 2U);
  EXPECT_EQ(back.rounds[1].update, 20);
  EXPECT_NEAR(distance_from_target(back.rounds[1]), 4, 1e-12);
  EXPECT_FALSE(back.base.has_value());
  ASSERT_TRUE(back.first.has_value());
  ASSERT_TRUE(back.best.has_value());
  EXPECT_EQ(back.first->update, 0);
  EXPECT_EQ(back.best->update, 10);
  EXPECT_EQ(distance_from_target(*back.best), distance_from_target(*history.best));
  EXPECT_EQ(back.n_worse, 1);
  EXPECT_TRUE(to_numbers(History{}).empty());
}

}  // namespace
}  // namespace twistor::estimate
