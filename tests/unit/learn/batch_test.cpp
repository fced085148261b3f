// Where derivatives go when a text ends early.
#include "twistor/learn/batch.hpp"

#include <gmock/gmock.h>

namespace twistor::learn {
namespace {

using testing::ElementsAre;

TEST(MoveToEnd, GivesTheEndTokenWhatLaterStepsWouldTeach) {
  const std::vector<std::int64_t> tokens{4, 9, 9, 9, 1, 2, 3, 9, 9, 9, 9, 9};
  std::vector<double> weight{1, 2, 3, 4, 5, 6, 7, 8, 0.5, 0.25, 0.125, 1};
  move_to_end(tokens, 4, 9, weight);
  EXPECT_THAT(weight, ElementsAre(1, 9, 0, 0, 5, 6, 7, 8, 1.875, 0, 0, 0));
}

TEST(MoveToEnd, LeavesWeightsAloneWhereNothingEnds) {
  const std::vector<std::int64_t> tokens{4, 9, 9};
  std::vector<double> weight{1, 2, 3};
  move_to_end(tokens, 3, -1, weight);
  EXPECT_THAT(weight, ElementsAre(1, 2, 3));
}

}  // namespace
}  // namespace twistor::learn
