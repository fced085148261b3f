// SPDX-License-Identifier: Apache-2.0
// Where a job runs: its hosts from all ranks, its id from the environment.
#include "twistor/comm/job_place.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

namespace twistor::comm {
namespace {

TEST(JobPlace, CountsRanksByHost) {
  const Communicator world = Communicator::world();
  char name[256] = {};
  ASSERT_EQ(::gethostname(name, sizeof name - 1), 0);
  const JobPlace place = job_place(world);
  ASSERT_EQ(place.hosts.size(), 1u) << "one machine";
  EXPECT_EQ(place.hosts[0].first, name);
  EXPECT_EQ(place.hosts[0].second, world.size());
}

TEST(JobPlace, HasTheIdThatTheFirstRankKnows) {
  const Communicator world = Communicator::world();
  for (const char* variable : {"SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID"}) ::unsetenv(variable);
  EXPECT_EQ(job_place(world).id, "");
  ::setenv("PBS_JOBID", world.rank() == 0 ? "17.head" : "another", 1);
  EXPECT_EQ(job_place(world).id, "17.head");
  ::setenv("SLURM_JOB_ID", "23", 1);
  EXPECT_EQ(job_id(), "23");
  ::setenv("SLURM_JOB_ID", "", 1);
  EXPECT_EQ(job_id(), world.rank() == 0 ? "17.head" : "another") << "an empty one is none";
  ::unsetenv("SLURM_JOB_ID");
  ::unsetenv("PBS_JOBID");
}

TEST(JobPlace, IsALine) {
  EXPECT_EQ(describe({"17", {{"n1", 8}, {"n2", 7}}}), "job 17, 15 ranks: n1 (8), n2 (7)");
  EXPECT_EQ(describe({"", {{"here", 1}}}), "1 rank: here (1)");
}

}  // namespace
}  // namespace twistor::comm
