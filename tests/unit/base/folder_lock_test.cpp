// SPDX-License-Identifier: Apache-2.0
// The lock of a folder, against other processes and against crashes.
#include "twistor/base/folder_lock.hpp"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "support/error_of.hpp"
#include "support/temporary_folder.hpp"

namespace twistor {
namespace {

using testing::HasSubstr;

/// Runs `action` in a process of its own, which says when it is done and then waits to be killed.
class Child {
 public:
  template <class Action>
  explicit Child(const Action& action) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    pid_ = fork();
    if (pid_ == 0) {
      action([&] { (void)!write(ends[1], "x", 1); });
      _exit(0);
    }
    close(ends[1]);
    char byte = 0;
    EXPECT_EQ(read(ends[0], &byte, 1), 1) << "the child has done what it was made for";
    close(ends[0]);
  }
  ~Child() { kill_it(); }
  void kill_it() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  [[nodiscard]] int pid() const { return pid_; }

 private:
  int pid_ = -1;
};

TEST(FolderLock, SaysWhoHoldsItWithoutStandingInTheWay) {
  const test::TemporaryFolder folder;
  EXPECT_EQ(FolderLock::holder_of(folder.path()), "");
  Child other([&](const auto& done) {
    const FolderLock lock(folder.path());
    done();
    pause();
  });
  EXPECT_THAT(FolderLock::holder_of(folder.path()),
              HasSubstr("process " + std::to_string(other.pid()) + " on "));
  other.kill_it();
  EXPECT_EQ(FolderLock::holder_of(folder.path()), "") << "the file is there still, its process is not";
  std::ofstream(folder.path() / ".lock") << "process 1 on another-host since 2026-11-27T00:00:00Z\n";
  EXPECT_THAT(FolderLock::holder_of(folder.path()), HasSubstr("another-host")) << "nobody can know";
}

TEST(FolderLock, KeepsAnotherProcessOutUntilItsHolderDiesHoweverThatHappens) {
  const test::TemporaryFolder folder;
  Child other([&](const auto& done) {
    const FolderLock lock(folder.path());
    done();
    pause();
  });
  const Error error = test::error_of([&] { return FolderLock(folder.path()); });
  EXPECT_EQ(error.kind(), ErrorKind::config);
  EXPECT_THAT(error.text(),
              HasSubstr("another run writes there: process " + std::to_string(other.pid()) + " on "));
  EXPECT_THAT(error.text(), HasSubstr("run.output"));
  other.kill_it();
  EXPECT_THAT(folder.names(), testing::ElementsAre(".lock")) << "a kill leaves the file";
  const FolderLock lock(folder.path());
  EXPECT_TRUE(lock.is_held()) << "and the file alone locks nothing";
  EXPECT_THAT(test::read_file(folder / ".lock"), HasSubstr("process " + std::to_string(getpid()) + " on "));
}

TEST(FolderLock, LeavesNothingBehindAndMoves) {
  const test::TemporaryFolder folder;
  {
    FolderLock lock;
    EXPECT_FALSE(lock.is_held());
    lock = FolderLock(folder.path());
    FolderLock moved = std::move(lock);
    EXPECT_TRUE(moved.is_held());
    EXPECT_EQ(test::error_of([&] { return FolderLock(folder.path()); }).kind(), ErrorKind::config);
    EXPECT_THAT(folder.names(), testing::ElementsAre(".lock"));
  }
  EXPECT_TRUE(folder.names().empty());
  EXPECT_EQ(test::error_of([&] { return FolderLock(folder.path() / "absent"); }).kind(), ErrorKind::io);
}

TEST(FolderLock, ProgramsThatItsHolderStartsDoNotInheritIt) {
  const test::TemporaryFolder folder;
  int started = -1;
  {
    const FolderLock lock(folder.path());
    started = fork();
    if (started == 0) {
      execlp("sleep", "sleep", "30", nullptr);
      _exit(1);
    }
    usleep(200'000);  // until it is another program
  }
  EXPECT_TRUE(FolderLock(folder.path()).is_held());
  kill(started, SIGKILL);
  waitpid(started, nullptr, 0);
}

}  // namespace
}  // namespace twistor
