// SPDX-License-Identifier: Apache-2.0
// Files that appear whole or not at all: contents, generations, leftovers, and what errors say.
#include "twistor/base/atomic_file.hpp"

#include <gmock/gmock.h>

#include "support/error_of.hpp"
#include "support/temporary_folder.hpp"

namespace twistor {
namespace {

using test::read_file;
using test::TemporaryFolder;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(AtomicFile, ReplacesTheOldContents) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "a.txt", "a long first text", "testing");
  write_file_atomically(folder / "a.txt", "second", "testing");
  EXPECT_EQ(read_file(folder / "a.txt"), "second");
  EXPECT_THAT(folder.names(), ElementsAre("a.txt"));
}

TEST(AtomicFile, KeepsTheGenerationBefore) {
  const TemporaryFolder folder;
  EXPECT_EQ(previous_generation(folder / "a.h5"), folder / "a.previous.h5");
  for (const char* text : {"1", "2", "3"}) {
    AtomicFile file(folder / "a.h5", "testing");
    ASSERT_EQ(write_fully(file.descriptor(), std::as_bytes(std::span(text, 1)), 0), 0);
    file.publish({.generations = 2});
  }
  EXPECT_EQ(read_file(folder / "a.h5"), "3");
  EXPECT_EQ(read_file(folder / "a.previous.h5"), "2");
  EXPECT_THAT(folder.names(), ElementsAre("a.h5", "a.previous.h5"));
}

TEST(AtomicFile, LeavesNothingWithoutPublish) {
  const TemporaryFolder folder;
  folder.write("a.txt", "old");
  { const AtomicFile file(folder / "a.txt", "testing"); }
  EXPECT_EQ(read_file(folder / "a.txt"), "old");
  EXPECT_THAT(folder.names(), ElementsAre("a.txt"));
}

TEST(AtomicFile, LeavesTemporariesOfLivingWritersAlone) {
  const TemporaryFolder folder;
  const AtomicFile alive(folder / "a.h5", "testing");
  const auto before = folder.names();
  write_file_atomically(folder / "a.h5", "text", "testing");
  auto expected = before;
  expected.push_back("a.h5");
  EXPECT_EQ(folder.names(), expected);
}

TEST(AtomicFile, SaysWhatToDoAboutAMissingFolder) {
  const TemporaryFolder folder;
  const Error error =
      test::error_of([&] { write_file_atomically(folder / "none" / "a.txt", "text", "writing a.txt"); });
  EXPECT_EQ(error.kind(), ErrorKind::io);
  EXPECT_THAT(error.text(), AllOf(HasSubstr("writing a.txt: cannot create"), HasSubstr("No such file"),
                                  HasSubstr("hint: make the folder first")));
}

}  // namespace
}  // namespace twistor
