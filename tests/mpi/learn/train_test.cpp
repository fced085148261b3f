// The loop of learning: what it does when, and where it stops.
#include "twistor/learn/train.hpp"

#include <gmock/gmock.h>

#include "support/tiny_learning.hpp"

namespace twistor::learn {
namespace {

using testing::ElementsAre;

class Loop : public testing::Test {
 protected:
  /// Learns and tells what was done: "3" is update 3, "evaluate 3" and "save 3" came after it.
  std::vector<std::string> events(const Plan& plan, std::int64_t stop_at = -1) {
    std::vector<std::string> out;
    const auto note = [&](const std::string& what) {
      out.push_back(what + std::to_string(learner.trainer.n_updates()));
    };
    const Hooks hooks{.updated =
                          [&](const UpdateReport& report, double seconds) {
                            EXPECT_GT(seconds, 0);
                            EXPECT_EQ(report.skipped, "");
                            note("");
                          },
                      .evaluate = [&] { note("evaluate "); },
                      .save = [&] { note("save "); }};
    is_done = train(learner.trainer, plan, hooks, [&] { return learner.trainer.n_updates() == stop_at; });
    return out;
  }

  comm::Communicator world = comm::Communicator::world();
  test::TinyTask task;
  test::Learner learner{task, "linear", make_objective("ctl", {.batch = 8, .positive_batch = 8}), world};
  bool is_done = false;
};

TEST_F(Loop, EvaluatesBeforeEpochsAndSavesWhenItIsDue) {
  EXPECT_THAT(events({{2, 5}, 2, true}), ElementsAre("evaluate 0", "1", "2", "save 2", "evaluate 2", "3", "4",
                                                     "save 4", "5", "save 5", "evaluate 5"));
  EXPECT_TRUE(is_done);
  EXPECT_THAT(events({{2, 5}, 2, true}), ElementsAre("evaluate 5"));  // there is nothing left to learn
}

TEST_F(Loop, EvaluatesAtTheEndAloneIfToldSo) {
  EXPECT_THAT(events({{1, 2}, 0, false}), ElementsAre("1", "2", "save 2", "evaluate 2"));
}

TEST_F(Loop, SavesTheUntrainedTwistToo) {
  EXPECT_THAT(events({{0}, 0, true}), ElementsAre("save 0", "evaluate 0"));
}

TEST_F(Loop, SavesAndStopsWhenItIsInterruptedAndThenGoesOnAsIfItHadNot) {
  const Plan plan{{2, 4}, 0, true};
  EXPECT_THAT(events(plan, 1), ElementsAre("evaluate 0", "1", "save 1"));
  EXPECT_FALSE(is_done);
  EXPECT_THAT(events(plan), ElementsAre("2", "evaluate 2", "3", "4", "save 4", "evaluate 4"));
  EXPECT_TRUE(is_done);
  test::Learner straight{task, "linear", make_objective("ctl", {.batch = 8, .positive_batch = 8}), world};
  EXPECT_TRUE(train(straight.trainer, plan, {}));  // nobody listens
  EXPECT_TRUE(test::values_of(straight.twist->parameters()) == test::values_of(learner.twist->parameters()));
}

TEST_F(Loop, IsDoneIfTheInterruptComesWithTheLastUpdate) {
  EXPECT_THAT(events({{2}, 0, true}, 2), ElementsAre("evaluate 0", "1", "2", "save 2", "evaluate 2"));
  EXPECT_TRUE(is_done);
}

}  // namespace
}  // namespace twistor::learn
