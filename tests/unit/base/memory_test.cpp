// SPDX-License-Identifier: Apache-2.0
// Memory that was held once counts from then on; what is free is told by the kernel's files.
#include "twistor/base/memory.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "support/temporary_folder.hpp"
#include "support/time_limit.hpp"

namespace twistor {
namespace {

TEST(PeakMemory, GrowsWithWhatIsTouchedAndStays) {
  constexpr std::int64_t held = 64 << 20;
  const std::int64_t before = peak_memory_bytes();
  EXPECT_GT(before, 1 << 20);
  {
    std::vector<char> bytes(static_cast<std::size_t>(before + held));  // more than all that was held before
    std::memset(bytes.data(), 1, bytes.size());
    EXPECT_EQ(bytes.back(), 1);
  }
  EXPECT_GE(peak_memory_bytes(), before + held);
}

class FreeMemory : public testing::Test {
 protected:
  void put(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((folder.path() / name).parent_path());
    folder.write(name, text);
  }
  void expect(std::int64_t free_bytes, std::int64_t total_bytes) const {
    const auto memory = main_memory(folder.path());
    ASSERT_TRUE(memory.has_value());
    EXPECT_EQ(memory->free_bytes, free_bytes);
    EXPECT_EQ(memory->total_bytes, total_bytes);
  }
  test::TemporaryFolder folder;
};

TEST_F(FreeMemory, IsTheMachinesOrWhatAGroupGrants) {
  EXPECT_EQ(main_memory(folder.path()), std::nullopt);
  put("proc/meminfo", "MemTotal:       8000 kB\nMemFree:  1000 kB\nMemAvailable:   5000 kB\n");
  expect(5000 * 1024, 8000 * 1024);
  put("proc/self/cgroup", "0::/job/step\n");
  put("sys/fs/cgroup/job/memory.max", "max\n");
  put("sys/fs/cgroup/job/memory.current", "700\n");
  expect(5000 * 1024, 8000 * 1024);
  put("sys/fs/cgroup/job/step/memory.max", "1000\n");
  put("sys/fs/cgroup/job/step/memory.current", "700\n");
  expect(300, 1000);
  put("sys/fs/cgroup/job/step/memory.stat", "anon 600\nfile 100\ninactive_file 40\n");
  expect(340, 1000);
  put("sys/fs/cgroup/job/memory.max", "900\n");
  expect(200, 900);
}

TEST_F(FreeMemory, KnowsGroupsOfVersionOne) {
  put("proc/meminfo", "MemTotal: 8000 kB\nMemAvailable: 5000 kB\n");
  put("proc/self/cgroup", "5:memory:/docker/1\n");
  put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  put("sys/fs/cgroup/memory/memory.usage_in_bytes", "100\n");
  expect(5000 * 1024, 8000 * 1024);
  put("sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "4000\n");
  put("sys/fs/cgroup/memory/docker/1/memory.usage_in_bytes", "5000\n");
  expect(0, 4000);
}

#ifdef __GLIBC__
/// Page faults of buffers that come and go, some at a time.
std::int64_t faults_of_buffers() {
  constexpr std::size_t size = 20 << 20;
  const auto faults = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<std::int64_t>(usage.ru_minflt);
  };
  const auto once = [&] {
    std::vector<std::vector<char>> buffers;
    for (int i = 0; i < 4; ++i) buffers.emplace_back(size, static_cast<char>(i));
    return buffers.back().back();
  };
  EXPECT_EQ(once(), 3);
  const std::int64_t before = faults();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(once(), 3);
  return faults() - before;
}

TEST(FreedMemory, IsKeptForWhatComesNext) {
  if (std::getenv("GLIBC_TUNABLES") != nullptr || std::getenv("MALLOC_TRIM_THRESHOLD_") != nullptr)
    GTEST_SKIP() << "the environment has a word on it";
  if (test::is_sanitized) GTEST_SKIP() << "a sanitizer's memory is its own";
  EXPECT_GT(faults_of_buffers(), 5 * 1000) << "or there is nothing to gain";
  keep_freed_memory();
  EXPECT_LT(faults_of_buffers(), 100);
}
#endif

TEST(FreeMemoryHere, IsSomeOfWhatThereIs) {
  const auto memory = main_memory();
  ASSERT_TRUE(memory.has_value());
  EXPECT_GT(memory->free_bytes, 0);
  EXPECT_LE(memory->free_bytes, memory->total_bytes);
}

}  // namespace
}  // namespace twistor
