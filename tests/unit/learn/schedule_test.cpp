// SPDX-License-Identifier: Apache-2.0
// Epochs, and how many evaluations a run still has before it.
#include "twistor/learn/schedule.hpp"

#include <gmock/gmock.h>

namespace twistor::learn {
namespace {

using testing::ElementsAre;

TEST(EpochEnds, FixedAndDoubling) {
  EXPECT_THAT(epoch_ends(Schedule::fixed, 10, 1), ElementsAre(10));
  EXPECT_THAT(epoch_ends(Schedule::fixed, 10, 3), ElementsAre(4, 7, 10));
  EXPECT_THAT(epoch_ends(Schedule::fixed, 10, 100), ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
  EXPECT_THAT(epoch_ends(Schedule::doubling, 10, 100), ElementsAre(2, 4, 8, 10));
  EXPECT_EQ(epoch_ends(Schedule::doubling, 2048, 1).size(), 11u);  // Zhao et al. 2024: 11 epochs
  EXPECT_THAT(epoch_ends(Schedule::doubling, 0, 1), ElementsAre(0));
}

TEST(CourseOptions, CountsEvaluationsThatAreToCome) {
  CourseOptions course;
  course.epochs = 2;  // of 3 updates
  EXPECT_EQ(course.n_evaluations(6, 0), 3);
  EXPECT_EQ(course.n_evaluations(6, 3), 2);  // the second epoch has not begun
  EXPECT_EQ(course.n_evaluations(6, 4), 1);
  EXPECT_EQ(course.n_evaluations(0, 0), 1);
  course.evaluate = false;
  EXPECT_EQ(course.n_evaluations(6, 0), 1);
}

}  // namespace
}  // namespace twistor::learn
