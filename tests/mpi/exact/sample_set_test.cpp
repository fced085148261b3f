// SPDX-License-Identifier: Apache-2.0
// Sets of exact samples over ranks: the same on any number of ranks, by any rounds, in one piece or in many,
// and found again in files.
#include <ATen/core/Tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <utility>

#include "support/error_of.hpp"
#include "support/temporary_folder.hpp"
#include "twistor/base/error.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/exact/rejection.hpp"
#include "twistor/exact/sample_set.hpp"
#include "twistor/model/tabular.hpp"

namespace twistor::exact {
namespace {

constexpr std::int64_t T = 3;

/// phi = exp(-s_1 - s_2 - s_3), and 0 where the last token is 3.
class Falling final : public potential::Potential {
 public:
  std::vector<double> log_phi(const potential::Sequences& s) const override {
    std::vector<double> out;
    for (std::int64_t i = 0; i < s.size(); ++i) {
      double sum = 0;
      for (std::int64_t t = 0; t < T; ++t)
        sum -= static_cast<double>(s.tokens[static_cast<std::size_t>(i * T + t)]);
      out.push_back(s.tokens[static_cast<std::size_t>(i * T + T - 1)] == 3 ? -INFINITY : sum);
    }
    return out;
  }
  double log_phi_bound() const override { return 0; }
  std::string description() const override { return "falling"; }
};

class Sets : public testing::Test {
 protected:
  const model::TabularModel lm = model::TabularModel::random(4, 8, 5);
  const std::vector<std::int64_t> prompt{1, 2};
  const Falling potential;
  const comm::Communicator world = comm::Communicator::world(), self = comm::Communicator::self();
  const test::TemporaryFolder folder;  // one for each rank; the first rank's is used

  [[nodiscard]] Target target(const std::string& identity = "falling") const {
    return {.lm = lm, .prompt = prompt, .length = T, .potential = potential, .identity = identity};
  }
  [[nodiscard]] SetOptions options(Way way, std::int64_t count) const {
    return {.way = way, .count = count, .budget = 100'000, .seed = 3, .file = folder.path() / "exact.h5"};
  }
};

void expect_same(const store::ExactSamples& a, const store::ExactSamples& b) {
  EXPECT_EQ(a.tokens.values, b.tokens.values);
  EXPECT_EQ(a.tokens.shape, b.tokens.shape);
  EXPECT_EQ(a.log_p0, b.log_p0);
  EXPECT_EQ(a.log_phi, b.log_phi);
  EXPECT_EQ(a.n_draws, b.n_draws);
  EXPECT_EQ(a.how, b.how);
}

TEST_F(Sets, RejectionDependsNeitherOnRanksNorOnRounds) {
  const RejectionSampler sampler(lm, potential, prompt, T, 3);
  const std::vector<AcceptedDraw> all = sampler.accepted({0, 3000, 1});
  ASSERT_GT(all.size(), 60U);
  for (const RejectionLimits& limits :
       {RejectionLimits{40, 3000}, RejectionLimits{40, 3000, 1, 1}, RejectionLimits{40, 3000, 7, 1000},
        RejectionLimits{1'000'000, 3000, 32, 100}}) {
    store::ExactSamples set;
    set.length = T;
    set.tokens.shape = {0, T};
    while (set.n() < limits.count && set.n_draws < draws_allowed(limits.budget, set.n()))
      add_round(sampler, limits, set, world);
    const std::size_t n = std::min(all.size(), static_cast<std::size_t>(limits.count));
    ASSERT_EQ(static_cast<std::size_t>(set.n()), n);
    EXPECT_EQ(set.n_draws, n < all.size() ? all[n - 1].draw + 1 : limits.budget);
    for (std::size_t i = 0; i < n; ++i) {
      const auto at = set.tokens.values.begin() + static_cast<std::ptrdiff_t>(i) * T;
      EXPECT_EQ(std::vector(at, at + T), all[i].tokens);
      EXPECT_EQ(set.log_p0[i], all[i].log_p0);
      EXPECT_EQ(set.log_phi[i], all[i].log_phi);
    }
  }
}

TEST_F(Sets, AreMadeOnceAndFoundAgain) {
  for (const Way way : {Way::rejection, Way::enumeration}) {
    SetOptions o = options(way, 20);
    o.file = folder.path() / name_of(way) / "exact.h5";
    std::filesystem::create_directories(o.file.parent_path());
    SampleSet set = find(target(), o, world);
    EXPECT_TRUE(set.is_lacking);
    std::int64_t n_told = 0;
    Steering steering;
    steering.observer = [&](std::string_view, std::int64_t done, std::int64_t) { n_told = done; };
    ASSERT_TRUE(make(target(), o, world, steering, set));
    EXPECT_EQ(set.samples.n(), 20);
    EXPECT_EQ(n_told, way == Way::rejection ? 20 : world.rank() == 0 ? 64 : 0);
    EXPECT_EQ(std::isnan(set.samples.log_z), way == Way::rejection);
    if (world.rank() == 0) keep(o, set);
    const SampleSet again = find(target(), o, world);
    EXPECT_FALSE(again.is_lacking);
    expect_same(again.samples, set.samples);
    o.count = 12;  // fewer: the first of them
    EXPECT_EQ(find(target(), o, world).samples.n(), 12);
    o.seed = 4;  // another run's are not ours
    EXPECT_TRUE(find(target(), o, world).is_lacking);
  }
}

TEST_F(Sets, ARejectionGoesOnWhereItWasStopped) {
  const SetOptions o = options(Way::rejection, 400);
  SetOptions at_once = o;
  at_once.file = folder.path() / "whole.h5";
  SampleSet whole = find(target(), at_once, self);
  ASSERT_TRUE(make(target(), at_once, self, {}, whole));

  int n_looks = 0, n_stops = 0;
  Steering steering;
  steering.interrupt = [&] { return ++n_looks % 3 == 0; };
  std::int64_t n_draws = 0;
  for (;; ++n_stops) {
    ASSERT_LT(n_stops, 50);
    SampleSet set = find(target(), o, world);
    EXPECT_EQ(set.samples.n_draws, n_draws) << "it begins where it was stopped";
    const bool is_made = make(target(), o, world, steering, set);
    n_draws = set.samples.n_draws;
    const bool is_kept = world.rank() == 0 && (!is_made || n_stops > 0);
    EXPECT_EQ(std::filesystem::exists(partial_file(o.file)), is_kept);
    if (!is_made) continue;
    expect_same(set.samples, whole.samples);
    if (world.rank() == 0) keep(o, set);
    break;
  }
  EXPECT_GE(n_stops, 1);
  EXPECT_FALSE(std::filesystem::exists(partial_file(o.file)));
}

TEST_F(Sets, WhatIsLeftUnfinishedAndDamagedIsForgotten) {
  const SetOptions o = options(Way::rejection, 20);
  std::ofstream(partial_file(o.file)) << "no HDF5";
  const SampleSet set = find(target(), o, world);
  EXPECT_EQ(set.problem.empty(), world.rank() != 0) << set.problem;
  EXPECT_EQ(set.samples.n(), 0);
  EXPECT_TRUE(set.is_lacking);
}

TEST_F(Sets, AnEnumerationThatIsStoppedLeavesNothing) {
  const SetOptions o = options(Way::enumeration, 20);
  SampleSet set = find(target(), o, world);
  const bool is_asked = world.rank() == 0;  // a signal to one rank
  Steering steering;
  steering.wish = [&] { return is_asked; };
  steering.interrupt = [&] { return comm::all_reduce_max(is_asked ? 1 : 0, world) != 0; };
  EXPECT_FALSE(make(target(), o, world, steering, set));
  EXPECT_EQ(set.samples.n(), 0);
  if (world.rank() == 0) keep(o, set);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

/// phi is 0 for every sequence, which only a sampler with patience finds out.
class Nowhere final : public potential::Potential {
 public:
  std::vector<double> log_phi(const potential::Sequences& s) const override {
    n_scored += s.size();
    return std::vector<double>(static_cast<std::size_t>(s.size()), -INFINITY);
  }
  double log_phi_bound() const override { return 0; }
  std::string description() const override { return "nowhere"; }
  mutable std::int64_t n_scored = 0;
};

TEST_F(Sets, DrawsInVainAreKeptAndNotRepeated) {
  const Nowhere nothing;
  const Target empty{.lm = lm, .prompt = prompt, .length = T, .potential = nothing, .identity = "nowhere"};
  SetOptions o = options(Way::rejection, 20);
  o.budget = 1001;
  SampleSet set = find(empty, o, world);
  ASSERT_TRUE(make(empty, o, world, {}, set));
  EXPECT_EQ(set.samples.n(), 0);
  EXPECT_EQ(set.samples.n_draws, 501) << "half of the budget, on any number of ranks";
  EXPECT_EQ(comm::all_reduce_sum(std::exchange(nothing.n_scored, 0), world), 501);
  if (world.rank() == 0) keep(o, set);
  EXPECT_FALSE(std::filesystem::exists(o.file)) << "there is no sample to keep";
  set = find(empty, o, world);
  ASSERT_TRUE(make(empty, o, world, {}, set));
  EXPECT_EQ(set.samples.n_draws, 501);
  EXPECT_EQ(nothing.n_scored, 0) << "hours are not spent twice";
  o.budget = 1600;
  set = find(empty, o, world);
  ASSERT_TRUE(make(empty, o, world, {}, set));
  EXPECT_EQ(set.samples.n_draws, 800);
  EXPECT_EQ(comm::all_reduce_sum(std::exchange(nothing.n_scored, 0), world), 299)
      << "a larger budget goes on";
  o.seed = 4;
  EXPECT_EQ(find(empty, o, world).samples.n_draws, 0) << "another run's draws are others";
}

TEST_F(Sets, NoneMakesNothing) {
  SetOptions o = options(Way::none, 20);
  SampleSet set = find(target(), o, world);
  ASSERT_TRUE(make(target(), o, world, {}, set));
  EXPECT_EQ(set.samples.n(), 0);
  if (world.rank() == 0) keep(o, set);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST_F(Sets, SharedFilesServeAllSeedsAndNoOtherTarget) {
  SetOptions o = options(Way::rejection, 20);
  o.is_shared = true;
  SampleSet set = find(target(), o, self);
  ASSERT_TRUE(make(target(), o, self, {}, set));
  keep(o, set);
  o.seed = 4;
  const SampleSet found = find(target(), o, self);
  EXPECT_FALSE(found.is_lacking);
  expect_same(found.samples, set.samples);
  EXPECT_THROW((void)find(target("another"), o, self), Error);
  o.is_shared = false;
  EXPECT_TRUE(find(target("another"), o, self).is_lacking);
}

// A run with another seed that needs more goes on with the file's own draws.
TEST_F(Sets, SharedFilesAreExtendedToWhatWouldHaveBeenMadeAtOnce) {
  for (const Way way : {Way::rejection, Way::enumeration}) {
    SetOptions o = options(way, 20);
    o.is_shared = true;
    o.file = folder.path() / name_of(way) / "exact.h5";
    SampleSet first = find(target(), o, world);
    ASSERT_TRUE(make(target(), o, world, {}, first));
    if (world.rank() == 0) keep(o, first);

    SetOptions at_once = options(way, 70);
    at_once.file = folder.path() / name_of(way) / "whole.h5";
    SampleSet whole = find(target(), at_once, self);
    ASSERT_TRUE(make(target(), at_once, self, {}, whole));

    o.count = 70;
    o.seed = 4;
    int n_looks = 0, n_stops = 0;
    Steering steering;
    steering.interrupt = [&] { return way == Way::rejection && ++n_looks == 3; };
    for (SampleSet set = find(target(), o, world); set.is_lacking; set = find(target(), o, world)) {
      ASSERT_LT(++n_stops, 5);
      EXPECT_GE(set.samples.n(), 20);
      if (!make(target(), o, world, steering, set)) continue;
      expect_same(set.samples, whole.samples);
      if (world.rank() == 0) keep(o, set);
      world.barrier();
    }
    const SampleSet found = find(target(), o, world);
    expect_same(found.samples, whole.samples);
    EXPECT_FALSE(std::filesystem::exists(o.file.string() + ".lock"));
    o.count = 20;
    EXPECT_EQ(find(target(), o, world).samples.tokens.values, first.samples.tokens.values);
  }
}

TEST_F(Sets, ASharedFileIsNotExtendedByAnotherWay) {
  SetOptions o = options(Way::enumeration, 20);
  o.is_shared = true;
  SampleSet set = find(target(), o, self);
  ASSERT_TRUE(make(target(), o, self, {}, set));
  keep(o, set);
  o.way = Way::rejection;
  EXPECT_FALSE(find(target(), o, self).is_lacking);
  o.count = 21;
  const Error error = test::error_of([&] { (void)find(target(), o, self); });
  EXPECT_EQ(error.kind(), ErrorKind::config);
  EXPECT_THAT(error.what(), testing::HasSubstr("there are 20 (enumeration with seed 3), exact.count is 21"));
}

TEST_F(Sets, RunsThatShareAFileWaitForOneAnother) {
  if (world.size() > 1) GTEST_SKIP() << "the first rank waits for all";
  SetOptions o = options(Way::rejection, 20);
  o.is_shared = true;
  SampleSet mine = find(target(), o, self), theirs = find(target(), o, self);
  ASSERT_TRUE(make(target(), o, self, {}, mine));
  int n_waits = 0;
  Steering steering;
  steering.observer = [&](std::string_view what, std::int64_t, std::int64_t) {
    EXPECT_THAT(std::string(what), testing::HasSubstr("waiting for another run"));
    if (++n_waits == 2) keep(o, mine);
  };
  ASSERT_TRUE(make(target(), o, self, steering, theirs));
  EXPECT_EQ(n_waits, 2);
  EXPECT_FALSE(theirs.is_new) << "what the other has made is taken";
  expect_same(theirs.samples, mine.samples);
}

TEST_F(Sets, TheWayFollowsFromTheTarget) {
  EXPECT_EQ(choose_way(target(), 64), Way::enumeration);
  EXPECT_EQ(choose_way(target(), 63), Way::rejection);
  const std::vector<std::int64_t> s{0, 1, 2};
  Target joint = target();
  joint.joint_sample = s;
  EXPECT_EQ(choose_way(joint, 64), Way::joint);
  EXPECT_EQ(n_without_draws(Way::none, 7, true), 0);
  EXPECT_EQ(n_without_draws(Way::joint, 7, false), 1);
  EXPECT_EQ(n_without_draws(Way::enumeration, 7, false), 7);
  EXPECT_EQ(n_without_draws(Way::rejection, 7, true), 7);
  EXPECT_EQ(n_without_draws(Way::rejection, 7, false), -1);
  SampleSet set = find(target(), options(Way::joint, 1), self);
  EXPECT_THROW((void)make(target(), options(Way::joint, 1), self, {}, set), Error);
}

}  // namespace
}  // namespace twistor::exact
