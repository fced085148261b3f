// SPDX-License-Identifier: Apache-2.0
// Damage: flipped bits, cut files, kills at any moment and full disks never lead to a wrong state.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "files.hpp"
#include "twistor/base/log.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/base/stopwatch.hpp"
#include "twistor/store/container.hpp"
#include "twistor/store/crc32c.hpp"

namespace twistor::store {
namespace {

using testing::checkpoint_at;
using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using testing::read_bytes;
using testing::TemporaryFolder;
using testing::write_bytes;

/// Two generations of a small checkpoint: update 2 under the final name, update 1 before it.
class Damage : public ::testing::Test {
 protected:
  Damage() {
    set_log_level(LogLevel::error);  // hundreds of expected warnings
    write_checkpoint(path_, checkpoint_at(1), {2, false});
    write_checkpoint(path_, checkpoint_at(2), {2, false});
    bytes_ = read_bytes(path_);
  }
  ~Damage() override { set_log_level(LogLevel::info); }

  /// What the reader says of these bytes; fails the test if it takes them.
  [[nodiscard]] static std::string refusal(std::span<const std::byte> bytes) {
    const Error error = error_of([&] { (void)read_archive(bytes, "c.h5", "checkpoint"); });
    EXPECT_EQ(error.kind(), ErrorKind::data);
    EXPECT_THAT(error.what(), HasSubstr("c.h5"));
    return error.what();
  }

  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_ / "c.h5";
  std::vector<std::byte> bytes_;
};

TEST_F(Damage, EveryFlippedByteIsRefused) {
  for (std::size_t i = 0; i < bytes_.size() && !HasFailure(); ++i) {
    auto damaged = bytes_;
    damaged[i] ^= std::byte{1} << (i % 8);
    (void)refusal(damaged);
  }
}

TEST_F(Damage, FlippedBytesLeadToThePreviousGeneration) {
  for (std::size_t i = 0; i < bytes_.size() && !HasFailure(); i += 97) {
    auto damaged = bytes_;
    damaged[i] ^= std::byte{0x80};
    write_bytes(path_, damaged);
    EXPECT_EQ(load_checkpoint(path_), checkpoint_at(1)) << "byte " << i;
  }
}

TEST_F(Damage, TruncatedFilesAreRefused) {
  for (std::size_t size = 0; size < bytes_.size() && !HasFailure(); size += 512) {
    (void)refusal(std::span(bytes_).first(size));
    write_bytes(path_, std::span(bytes_).first(size));
    EXPECT_EQ(load_checkpoint(path_), checkpoint_at(1)) << size << " bytes";
  }
  (void)refusal(std::span(bytes_).first(bytes_.size() - 1));
}

TEST_F(Damage, AppendedBytesAreRefused) {
  bytes_.push_back(std::byte{0});
  EXPECT_THAT(refusal(bytes_), HasSubstr("bytes were appended"));
}

/// Offset of these numbers in the file.
std::size_t find_values(std::span<const std::byte> bytes, const std::vector<float>& values) {
  const auto pattern = std::as_bytes(std::span(values));
  const auto found = std::search(bytes.begin(), bytes.end(), pattern.begin(), pattern.end());
  EXPECT_NE(found, bytes.end());
  return static_cast<std::size_t>(found - bytes.begin());
}

TEST_F(Damage, MessagesNameTheDataset) {
  const auto offset = find_values(bytes_, checkpoint_at(2).adam_m.at("head.0.weight").values);
  bytes_[offset + 5] ^= std::byte{4};
  EXPECT_THAT(refusal(bytes_), HasSubstr("dataset adam_m/head.0.weight is damaged"));
}

/// Gives the damaged bytes fitting outer checksums, as another program that edits the file might.
void reseal(std::vector<std::byte>& bytes, std::uint64_t image_end) {
  const std::vector<Extent> extents{{header_bytes, image_end - header_bytes,
                                     crc32c(std::span(bytes).subspan(header_bytes, image_end - header_bytes)),
                                     std::string(metadata_name)}};
  const std::string map = format_map(extents);
  bytes.resize(image_end);
  const auto tail = std::as_bytes(std::span(map));
  bytes.insert(bytes.end(), tail.begin(), tail.end());
  const auto header = make_header(image_end, map);
  std::copy(header.begin(), header.end(), bytes.begin());
}

TEST_F(Damage, InnerChecksumsHoldWhereOuterOnesWereRenewed) {
  const std::uint64_t image_end = verify_container(bytes_, "checking");
  auto resealed = bytes_;
  reseal(resealed, image_end);
  EXPECT_EQ(checkpoint_from(read_archive(resealed, "c.h5", "checkpoint")), checkpoint_at(2));  // the control

  auto data = bytes_;
  data[find_values(data, checkpoint_at(2).parameters.at("head.1.weight").values)] ^= std::byte{1};
  reseal(data, image_end);
  EXPECT_THAT(refusal(data), HasSubstr("dataset "));

  auto attribute = bytes_;
  const std::string fingerprint = "0123abcd";
  const auto pattern = std::as_bytes(std::span(fingerprint));
  const auto found = std::search(attribute.begin(), attribute.end(), pattern.begin(), pattern.end());
  ASSERT_NE(found, attribute.end());
  *found ^= std::byte{1};
  reseal(attribute, image_end);
  EXPECT_THAT(refusal(attribute), HasSubstr("directory of names, shapes and attributes"));
}

TEST_F(Damage, BothGenerationsDamagedListsBothReasons) {
  bytes_[600] ^= std::byte{1};
  write_bytes(path_, bytes_);
  std::filesystem::resize_file(folder_ / "c.previous.h5", 700);
  const Error error = error_of([&] { (void)load_checkpoint(path_); });
  EXPECT_EQ(error.kind(), ErrorKind::data);
  EXPECT_THAT(error.what(), HasSubstr("neither generation can be used"));
  EXPECT_THAT(error.what(), HasSubstr("(HDF5 metadata) is damaged"));
  EXPECT_THAT(error.what(), HasSubstr("truncated"));
  std::filesystem::remove(path_);
  std::filesystem::remove(folder_ / "c.previous.h5");
  EXPECT_EQ(error_of([&] { (void)load_checkpoint(path_); }).kind(), ErrorKind::no_input);
}

TEST_F(Damage, AMissingNewestGenerationFallsBack) {
  std::filesystem::remove(path_);
  EXPECT_EQ(load_checkpoint(path_), checkpoint_at(1));
}

/// Writes checkpoints first, first + 1, ... and reports each finished one through the pipe, until it is
/// killed.
[[noreturn]] void write_until_killed(const std::filesystem::path& path, std::int64_t first, int pipe) {
  try {
    for (std::int64_t update = first;; ++update) {
      write_checkpoint(path, checkpoint_at(update, 20000));
      if (::write(pipe, &update, sizeof update) != sizeof update) ::_exit(1);
    }
  } catch (...) {
    ::_exit(2);
  }
}

/// Runs a writer for that long, kills it, and returns the last checkpoint that it reported as finished
/// (`before` if none).
std::int64_t run_and_kill(const std::filesystem::path& path, std::int64_t before, double delay_s) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) write_until_killed(path, before + 1, ends[1]);
  ::close(ends[1]);
  ::usleep(static_cast<useconds_t>(delay_s * 1e6));
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status)) << "the writer ended by itself with status " << WEXITSTATUS(status);
  std::int64_t reported = 0, last = before;
  while (::read(ends[0], &reported, sizeof reported) == sizeof reported) last = reported;
  ::close(ends[0]);
  return last;
}

TEST(Kill, AtAnyMomentLeavesAWholeState) {
  const char* const wish = std::getenv("TWISTOR_KILLS");
  const int n_kills = wish != nullptr ? std::atoi(wish) : 20;
  const TemporaryFolder folder;
  const auto path = folder / "c.h5";
  const Stopwatch watch;
  write_checkpoint(path, checkpoint_at(0, 20000));
  const double longest_s =
      std::max(0.06, 6 * watch.seconds());  // sanitizers and crowded machines write slowly
  Philox random(1, Stream::test, 0, 0);
  std::int64_t known = 0;
  for (int i = 0; i < n_kills && !::testing::Test::HasFailure(); ++i) {
    const std::int64_t finished = run_and_kill(path, known, 0.002 + longest_s * random.uniform());
    const Checkpoint c = load_checkpoint(path);
    // The write after the last reported one may or may not have reached its rename.
    EXPECT_GE(c.update, finished);
    EXPECT_LE(c.update, finished + 1);
    EXPECT_EQ(c, checkpoint_at(c.update, 20000));
    known = c.update;
  }
  EXPECT_GT(known, 0) << "no writer finished a checkpoint: the delays are too short to test anything";
  write_checkpoint(path, checkpoint_at(known + 1, 20000));
  EXPECT_THAT(folder.names(), ElementsAre("c.h5", "c.previous.h5")) << "leftovers of killed writers";
}

/// A write that must fail with that errno's text, leave the old files alone and no temporaries behind.
void expect_refused_write(const std::filesystem::path& path, int code) {
  const Error error = error_of([&] { write_checkpoint(path, checkpoint_at(3, 400000)); });
  EXPECT_EQ(error.kind(), ErrorKind::io) << error.text();
  EXPECT_THAT(error.what(), HasSubstr("writing checkpoint"));
  EXPECT_THAT(error.what(), HasSubstr(std::strerror(code)));
  EXPECT_FALSE(error.hint().empty());
}

TEST_F(Damage, ALimitOnFileSizesLeavesTheOldState) {
  const pid_t child = ::fork();  // the limit must not outlive the test
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1 << 20, 1 << 20};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    expect_refused_write(path_, EFBIG);
    ::_exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
  EXPECT_EQ(load_checkpoint(path_), checkpoint_at(2));
  EXPECT_THAT(folder_.names(), ElementsAre("c.h5", "c.previous.h5"));
}

/// A file system of 1 MiB on a folder, for as long as the object lives.
struct SmallDisk {
  explicit SmallDisk(std::filesystem::path where)
      : folder(std::move(where)), is_mounted(::mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=1m") == 0) {}
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  ~SmallDisk() {
    if (is_mounted) ::umount(folder.c_str());
  }
  std::filesystem::path folder;
  bool is_mounted;
};

TEST(FullDisk, LeavesTheOldState) {
  const TemporaryFolder folder;
  const SmallDisk disk(folder.path());
  if (!disk.is_mounted) GTEST_SKIP() << "mounting a small file system needs rights: " << std::strerror(errno);
  const auto path = folder / "c.h5";
  write_checkpoint(path, checkpoint_at(2));
  expect_refused_write(path, ENOSPC);
  EXPECT_EQ(load_checkpoint(path), checkpoint_at(2));
  EXPECT_THAT(folder.names(), ElementsAre("c.h5"));
}

TEST(FullDisk, FailsWellWhereverSpaceEnds) {
  const TemporaryFolder folder;
  const SmallDisk disk(folder.path());
  if (!disk.is_mounted) GTEST_SKIP() << "mounting a small file system needs rights: " << std::strerror(errno);
  const auto path = folder / "c.h5";
  int n_written = 0, n_refused = 0;
  // 64 bytes a column: sizes around the free space, so that now the data, now the metadata, now the map does
  // not fit.
  for (std::int64_t width = 15375; width < 16425; width += 7) {
    std::filesystem::remove(path);
    write_checkpoint(path, checkpoint_at(2), {1, false});
    std::int64_t expected = 4;
    try {
      write_checkpoint(path, checkpoint_at(4, width), {1, false});
      ++n_written;
    } catch (const Error& error) {
      ASSERT_EQ(error.kind(), ErrorKind::io) << error.text();
      ++n_refused;
      expected = 2;
    }
    ASSERT_EQ(load_checkpoint(path).update, expected);
    ASSERT_THAT(folder.names(), ElementsAre("c.h5"));
  }
  EXPECT_GT(n_written, 0);
  EXPECT_GT(n_refused, 0);
}

TEST(MissingFolder, IsNamed) {
  const Error error = error_of([] { write_checkpoint("/nonexistent/folder/c.h5", checkpoint_at(1)); });
  EXPECT_EQ(error.kind(), ErrorKind::io);
  EXPECT_THAT(error.what(), HasSubstr("/nonexistent/folder"));
  EXPECT_THAT(error.hint(), HasSubstr("make the folder first"));
}

}  // namespace
}  // namespace twistor::store
