// SPDX-License-Identifier: Apache-2.0
// CPU quotas as the kernel writes them, in folders made for the test.
#include "twistor/base/cpu_limits.hpp"

#include <gtest/gtest.h>

#include "support/temporary_folder.hpp"

namespace twistor {
namespace {

class Limits : public testing::Test {
 protected:
  void put(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((folder / name).parent_path());
    folder.write(name, text);
  }
  test::TemporaryFolder folder;
};

TEST_F(Limits, VersionTwoTakesTheLeastOnTheWayUp) {
  put("proc/self/cgroup", "0::/a/b\n");
  EXPECT_EQ(cpu_quota(folder.path()), std::nullopt);
  put("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  EXPECT_EQ(cpu_quota(folder.path()), std::nullopt);
  put("sys/fs/cgroup/a/cpu.max", "150000 100000\n");
  EXPECT_EQ(cpu_quota(folder.path()), 1.5);
  put("sys/fs/cgroup/a/b/cpu.max", "400000 100000\n");
  EXPECT_EQ(cpu_quota(folder.path()), 1.5);
  put("sys/fs/cgroup/a/b/cpu.max", "50000 100000\n");
  EXPECT_EQ(cpu_quota(folder.path()), 0.5);
}

TEST_F(Limits, InAContainerTheMountItselfCounts) {
  put("proc/self/cgroup", "0::/host/path/that/is/not/here\n");
  put("sys/fs/cgroup/cpu.max", "200000 100000\n");
  EXPECT_EQ(cpu_quota(folder.path()), 2.0);
}

TEST_F(Limits, VersionOne) {
  put("proc/self/cgroup", "5:memory:/x\n4:cpu,cpuacct:/docker/1\n");
  put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cpu_quota(folder.path()), std::nullopt) << "-1 is none";
  put("sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us", "300000\n");
  put("sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cpu_quota(folder.path()), 3.0);
}

TEST_F(Limits, FilesThatSayNothing) {
  EXPECT_EQ(cpu_quota(folder.path()), std::nullopt);
  put("proc/self/cgroup", "0::/\n");
  put("sys/fs/cgroup/cpu.max", "much more\n");
  EXPECT_EQ(cpu_quota(folder.path()), std::nullopt);
  put("sys/fs/cgroup/cpu.max", "100000 0\n");
  EXPECT_EQ(cpu_quota(folder.path()), std::nullopt);
}

TEST(UsableCores, AreTheFewerOfBothAndAtLeastOne) {
  EXPECT_EQ(usable_cores(8, std::nullopt), 8);
  EXPECT_EQ(usable_cores(8, 1.5), 2) << "rounded up";
  EXPECT_EQ(usable_cores(2, 6.0), 2);
  EXPECT_EQ(usable_cores(8, 0.1), 1);
  EXPECT_GE(n_cores_by_affinity(), 1);
}

}  // namespace
}  // namespace twistor
