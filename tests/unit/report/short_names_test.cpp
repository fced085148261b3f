// SPDX-License-Identifier: Apache-2.0
// Files are called by the ends of their paths that tell them apart.
#include "twistor/report/short_names.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace twistor::report {
namespace {

using testing::ElementsAre;

std::vector<std::string> names(const std::vector<std::string>& paths,
                               const std::vector<std::string>& taken = {}) {
  return short_names(paths, taken);
}

TEST(ShortNames, AreAsShortAsTheyCanBe) {
  EXPECT_THAT(names({"runs/a.h5", "other/b.h5"}), ElementsAre("a", "b"));
  EXPECT_THAT(names({"runs/a/checkpoint.h5", "runs/b/checkpoint.h5", "/c/best.h5"}),
              ElementsAre("a/checkpoint", "b/checkpoint", "c/best"));
  EXPECT_THAT(names({"/x/1/a/c.h5", "/y/1/a/c.h5"}), ElementsAre("x/1/a/c", "y/1/a/c"));
}

TEST(ShortNames, AvoidWhatIsTaken) {
  EXPECT_THAT(names({"runs/base.h5", "runs/a.h5"}, {"base"}), ElementsAre("runs/base", "runs/a"));
  EXPECT_THAT(names({"base.h5"}, {"base"}), ElementsAre("base_1"));
}

TEST(ShortNames, HaveNoCharactersThatOtherFilesGiveAMeaning) {
  EXPECT_THAT(names({"a b.1.h5", "a,b.h5"}), ElementsAre("a_b_1", "a_b"));
  EXPECT_THAT(names({"./x.h5", "../x.h5"}), ElementsAre("x", "__/x"));
  EXPECT_THAT(names({"a.b.h5", "a,b.h5"}), ElementsAre("a_b_1", "a_b_2"));
}

}  // namespace
}  // namespace twistor::report
