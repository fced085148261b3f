// SPDX-License-Identifier: Apache-2.0
// Watching a run: what its folder says at each moment, and when that ends.
#include "twistor/report/watch.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <fstream>
#include <iterator>
#include <thread>

#include "report/course.hpp"
#include "support/error_of.hpp"
#include "support/temporary_folder.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/folder_lock.hpp"

namespace twistor::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Sparkline, RunsFromTheLeastToTheGreatest) {
  EXPECT_EQ(sparkline({1, 2, 3, 4, 5, 6, 7, 8}, 20), "▁▂▃▄▅▆▇█");
  EXPECT_EQ(sparkline({3, NAN, 1, INFINITY}, 20), "█ ▁ ");
  EXPECT_EQ(sparkline({2, 2}, 20), "▅▅");
  EXPECT_EQ(sparkline({0, 0, 1, 1, 2, 2, 3, 5}, 2), "▁█") << "means of neighbours";
  EXPECT_EQ(sparkline({}, 20), "");
  EXPECT_EQ(sparkline({1}, 0), "");
}

class WatchedFolder : public testing::Test {
 protected:
  const test::TemporaryFolder folder;
  void add(const std::string& text) { std::ofstream(folder.path() / "metrics.jsonl", std::ios::app) << text; }
  static std::string update_line(int update) {
    return R"({"update":)" + std::to_string(update) + R"(,"loss":)" + std::to_string(10 - update) +
           R"(,"log_z_hat":-6.5,"f_q":-7,"skipped":false,"seconds":2})" + "\n";
  }
  const std::string evaluation_line =
      R"({"update":4,"event":"evaluation","evaluation.update":4,"evaluation.log_z.smc_lower.mean":-6.5,)"
      R"("evaluation.log_z.smc_lower.se":0.25,"evaluation.log_z.smc_lower.n":3})"
      "\n";
};

TEST_F(WatchedFolder, TheCourseIsReadOnAsItGrowsAndAnewWhenItIsReplaced) {
  Course course(folder.path() / "metrics.jsonl");
  EXPECT_FALSE(course.read_on()) << "there is none yet";
  add(update_line(1) + update_line(2) + R"({"update":3,"lo)");
  EXPECT_TRUE(course.read_on());
  EXPECT_EQ(course.updates().size(), 2u) << "half a line waits for its end";
  EXPECT_FALSE(course.read_on());
  add(R"(ss":7})"
      "\n" +
      evaluation_line);
  EXPECT_TRUE(course.read_on());
  EXPECT_EQ(course.updates().size(), 3u);
  EXPECT_EQ(course.updates().back().at("loss"), 7);
  EXPECT_EQ(course.evaluations().size(), 1u);
  std::ofstream(folder.path() / "new") << update_line(1);  // as a run that resumes replaces it
  std::filesystem::rename(folder.path() / "new", folder.path() / "metrics.jsonl");
  EXPECT_TRUE(course.read_on());
  EXPECT_EQ(course.updates().size(), 1u);
  EXPECT_TRUE(course.evaluations().empty());
}

TEST_F(WatchedFolder, ThePictureHasTheCourseAndTheTimeLeft) {
  RunWatch run(folder.path(), [] { return std::int64_t{10}; });
  EXPECT_THAT(run.picture(100), HasSubstr("no update yet"));
  const FolderLock lock(folder.path());
  for (int i = 1; i <= 4; ++i) add(update_line(i));
  add(evaluation_line);
  EXPECT_TRUE(run.look());
  EXPECT_EQ(run.updates(), 4);
  EXPECT_EQ(run.wanted(), 10);
  const std::string picture = run.picture(100);
  EXPECT_THAT(picture, HasSubstr(": update 4 of 10, 2 s each, ETA 12 s\nprocess "));
  EXPECT_THAT(picture, HasSubstr("loss                                    6.0000  █▆▃▁\n"));
  EXPECT_THAT(picture, HasSubstr("f_q                                    -7.0000  ▅▅▅▅\n"));
  EXPECT_THAT(picture, HasSubstr("1 evaluation, the last after update 4\n"));
  EXPECT_THAT(picture, HasSubstr("log Z, SMC lower bound        -6.5000 ± 0.2500  ▅\n"));
  EXPECT_THAT(picture, Not(HasSubstr("upper"))) << "it could not be made";
  EXPECT_THAT(run.line(),
              HasSubstr("update 4 of 10  loss 6.0000  log Z -6.500  log Z, SMC lower bound -6.5000"));
  for (const char* line : {"loss", "f_q"}) EXPECT_THAT(run.picture(12), HasSubstr(std::string("\n") + line));
  EXPECT_THAT(run.picture(12), Not(HasSubstr("6.0000"))) << "lines are cut";
}

TEST_F(WatchedFolder, IsFinishedWhenTheSummaryIsYoungerThanTheMetrics) {
  add(update_line(1));
  RunWatch run(folder.path());
  EXPECT_FALSE(run.is_finished());
  EXPECT_THAT(run.picture(100), HasSubstr("nobody writes here now; the same command resumes the run"));
  std::ofstream(folder.path() / "summary.json") << "{}";
  const auto now = std::filesystem::last_write_time(folder.path() / "metrics.jsonl");
  std::filesystem::last_write_time(folder.path() / "summary.json", now + std::chrono::seconds(1));
  EXPECT_TRUE(run.is_finished());
  EXPECT_THAT(run.picture(100), HasSubstr("finished"));
  std::filesystem::last_write_time(folder.path() / "summary.json", now - std::chrono::seconds(1));
  EXPECT_FALSE(run.is_finished()) << "another run goes on from there";
}

TEST_F(WatchedFolder, IsFollowedUntilNobodyWritesThere) {
  add(update_line(1));
  const std::filesystem::path shown = folder.path() / "shown";
  const int descriptor = ::open(shown.c_str(), O_RDWR | O_CREAT, 0644);
  ASSERT_GE(descriptor, 0);
  {
    FolderLock lock(folder.path());
    std::jthread run([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      add(update_line(2));
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      std::ofstream(folder.path() / "summary.json") << "{}";
      lock = FolderLock();
    });
    EXPECT_TRUE(watch(folder.path(), {.descriptor = descriptor, .every_s = 0.01}));
  }
  ::close(descriptor);
  std::ifstream in(shown);
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  EXPECT_THAT(text, HasSubstr("update 1  loss 9.0000"));
  EXPECT_THAT(text, HasSubstr(": update 2, 2 s each\nfinished"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b"))) << "a file is no terminal";
}

TEST(Watch, ThereMustBeAFolder) {
  EXPECT_EQ(test::error_of([] { return RunWatch("/nowhere/at/all"); }).kind(), ErrorKind::no_input);
}

}  // namespace
}  // namespace twistor::report
