// SPDX-License-Identifier: Apache-2.0
// A child process that answers: full pipes, deaths, silence, chatter, and how it is ended.
#include "twistor/base/line_process.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <thread>

#include "support/temporary_folder.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/stopwatch.hpp"

namespace twistor {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Lines = std::vector<std::string>;

std::string message_of(LineProcess& process, const Lines& lines) {
  try {
    (void)process.ask(lines);
  } catch (const Error& error) {
    return error.text();
  }
  return "no error";
}

TEST(LineProcess, IsStartedOnceAndAsked) {
  const test::TemporaryFolder folder;
  const std::string starts = folder.path() / "starts";
  LineProcess process("echo start >>" + starts + "; exec cat", 30);
  EXPECT_FALSE(std::filesystem::exists(starts)) << "not before it is asked";
  EXPECT_THAT(process.ask(Lines{"a", "", "c d"}), ElementsAre("a", "", "c d"));
  EXPECT_TRUE(process.ask({}).empty());
  EXPECT_THAT(process.ask(Lines{"e"}), ElementsAre("e"));
  EXPECT_EQ(test::read_file(starts), "start\n");
}

TEST(LineProcess, FullPipesInAllDirectionsDoNotHoldItUp) {
  // Each line is answered at once and with noise, so all three pipes fill while there is still much to write.
  const Lines lines(3000, std::string(1000, 'x'));
  LineProcess process("while read line; do echo $line; echo noise$line >&2; done", 60);
  EXPECT_EQ(process.ask(lines), lines);
  LineProcess patient(
      "python3 -c 'import sys; lines = sys.stdin.readlines(3000 * 1001 - 1); sys.stdout.writelines(lines); "
      "sys.stdout.flush()'",
      60);
  EXPECT_EQ(patient.ask(lines), lines) << "one that reads all before it writes";
}

TEST(LineProcess, ADeathIsToldWithItsLastWords) {
  LineProcess dies("read line; echo $line; echo the reason >&2; exit 7", 30);
  const std::string text = message_of(dies, {"a", "b"});
  EXPECT_THAT(text, HasSubstr("it ended with exit code 7 after 1 of 2 lines"));
  EXPECT_THAT(text, HasSubstr("the reason"));
  LineProcess killed("kill -9 $$", 30);
  EXPECT_THAT(message_of(killed, {"a"}), HasSubstr("it was ended by signal 9 after 0 of 1 lines"));
  LineProcess none("/no/such/command", 30);
  EXPECT_THAT(message_of(none, {"a"}), HasSubstr("exit code 127"));
}

TEST(LineProcess, WritingToTheDeadIsNoSignal) {
  const Lines much(2000, std::string(1000, 'x'));
  LineProcess deaf("exec 0<&-; sleep 0.2; exit 3", 30);
  EXPECT_THAT(message_of(deaf, much), HasSubstr("exit code 3 after 0 of 2000 lines"));
}

TEST(LineProcess, SilenceEndsAfterTheTimeout) {
  LineProcess silent("echo still alive >&2; exec sleep 60", 0.3);
  const Stopwatch watch;
  const std::string text = message_of(silent, {"a"});
  EXPECT_THAT(text, HasSubstr("it said nothing for 0.3 s, after 0 of 1 lines"));
  EXPECT_THAT(text, HasSubstr("still alive"));
  EXPECT_LT(watch.seconds(), 20) << "sleep ends at SIGTERM";
}

TEST(LineProcess, MoreLinesThanAskedAreAnError) {
  LineProcess chatty("read line; printf '1\\n2\\n'; exec cat", 30);
  EXPECT_THAT(message_of(chatty, {"a"}), HasSubstr("more lines than it was asked"));
}

TEST(LineProcess, FloodsAreSurvived) {
  LineProcess yes("exec yes", 30);
  EXPECT_THAT(message_of(yes, {"a"}), HasSubstr("more lines than it was asked"));
  LineProcess noise("yes >&2", 0.3);
  EXPECT_THAT(message_of(noise, {"a"}), HasSubstr("it said nothing for 0.3 s"));
  LineProcess endless("read line; exec cat /dev/zero", 30);
  EXPECT_THAT(message_of(endless, {"a"}), HasSubstr("a line of more than a mebibyte"));
}

TEST(LineProcess, ItEndsWithItsOwner) {
  const test::TemporaryFolder folder;
  const std::string end = folder.path() / "end";
  { EXPECT_THAT(LineProcess("cat; echo input closed >" + end, 30).ask(Lines{"a"}), ElementsAre("a")); }
  EXPECT_EQ(test::read_file(end), "input closed\n");
  const std::string id = folder.path() / "id";
  {
    LineProcess stubborn(
        "trap '' TERM; echo $$ >" + id + "; read line; echo $line; while :; do sleep 1; done", 30);
    EXPECT_THAT(stubborn.ask(Lines{"a"}), ElementsAre("a"));
  }
  EXPECT_EQ(::kill(std::stoi(test::read_file(id)), 0), -1) << "it outlived SIGKILL";
}

}  // namespace
}  // namespace twistor
