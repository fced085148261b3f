// SPDX-License-Identifier: Apache-2.0
// Positives of targets that hardly any sample of p0 meets: what `auto` makes of them, conditional sweeps
// against enumeration, and learning from a single positive.
#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <numeric>
#include <vector>

#include "support/prefix_twist.hpp"
#include "support/tiny_learning.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/learn/positives.hpp"
#include "twistor/learn/registry.hpp"

namespace twistor::learn {
namespace {

using namespace test::prefixes;  // NOLINT: the whole test speaks of these
using test::Tokens;
using testing::HasSubstr;

PositiveChoice choice(const PositiveFacts& facts) {
  return choose_positives(facts, {.positive_batch = 64, .positives = Positives::automatic, .anneal_ess = 8});
}

TEST(ChoiceOfPositives, FollowsItsRuleAndSaysWhy) {
  EXPECT_EQ(choice({.n_exact = 64}).positives, Positives::exact);
  EXPECT_EQ(choice({.n_exact = 63}).positives, Positives::conditional);
  EXPECT_THAT(choice({.n_exact = 63}).why, HasSubstr("63 exact samples"));
  EXPECT_EQ(choice({.is_one_known = true}).positives, Positives::conditional);
  EXPECT_THAT(choice({.is_one_known = true}).why, HasSubstr("train.positive_ids"));
  const auto enough = choice({.n_drawn = 256, .n_positive = 200, .ess = 8});
  EXPECT_EQ(enough.positives, Positives::weighted);
  EXPECT_FALSE(enough.anneals);
  const auto flat = choice({.n_drawn = 256, .n_positive = 256, .ess = 1.5});
  EXPECT_EQ(flat.positives, Positives::weighted);
  EXPECT_TRUE(flat.anneals);
  EXPECT_THAT(flat.why,
              HasSubstr("256 of 256 samples of p0 have phi > 0, and their effective number is 1.5"));
  EXPECT_EQ(choice({.n_drawn = 256, .n_positive = 255, .ess = 7.9}).positives, Positives::conditional);
  EXPECT_EQ(choice({.n_drawn = 256, .n_positive = 1, .ess = 1}).positives, Positives::conditional);
  EXPECT_THAT(choice({.n_drawn = 256}).why, HasSubstr("0 of 256 samples of p0 have phi > 0"));
}

/// Mean and standard error of independent values.
struct Mean {
  void add(double x) {
    ++n;
    sum += x;
    squares += x * x;
  }
  [[nodiscard]] double value() const { return sum / n; }
  [[nodiscard]] double se() const { return std::sqrt((squares / n - value() * value()) / n); }
  double n = 0, sum = 0, squares = 0;
};

/// The mean of log phi in populations of 5 particles, by their weights and by the path that is pinned next.
/// Each population is pinned to an exact sample of its own, unless it is a plain one.
struct Populations {
  Populations(Source kind, bool resamples) {
    const comm::Communicator self = comm::Communicator::self();
    const Target target(false);
    PrefixTwist twist(*target.base);
    twist.set(rough_log_psi);
    const smc::Problem problem = target.problem();
    const auto all = twistor::exact::enumerate(target.model(), target.potential, target.prompt, T);
    for (std::int64_t i = 0; i < all.size(); ++i)
      expected += std::exp(all.log_weight(i) - all.log_z()) * log_phi(target, all.sequence(i));
    const exact::Source none;
    smc::SweepCounters counters;
    for (std::int64_t i = 0; i < 6000; ++i) {
      BatchSource source(problem, T, Shards(2, self), none, self, {resamples, all.draw(3, i)});
      const auto batch = source.draw({kind, 5}, 0, twist, static_cast<std::uint64_t>(100 + i), counters);
      double mean = 0, total = 0;
      for (std::size_t k = 0; k < batch.weight.size(); ++k) {
        mean += batch.weight[k] * batch.log_phi[k];
        total += batch.weight[k];
      }
      EXPECT_NEAR(total, 1, 1e-12);
      by_weight.add(mean);
      next.add(log_phi(target, source.pinned()));
    }
  }
  static double log_phi(const Target& target, const Tokens& s) {
    return target.potential.log_phi({target.prompt, s, T})[0];
  }
  Mean by_weight, next;
  double expected = 0;
};

// Conditional SMC leaves sigma as it is (Andrieu et al. 2010): pinned to exact samples, its weighted
// particles and its next path are such, however few there are. Five standard errors: a false alarm in a
// million.
TEST(ConditionalPositives, AreSamplesOfSigmaWhereThePinnedPathIsOne) {
  if (comm::Communicator::world().size() > 1) GTEST_SKIP() << "other rank counts give the same bits";
  for (const bool resamples : {true, false}) {
    const Populations seen(Source::conditional, resamples);
    EXPECT_NEAR(seen.by_weight.value(), seen.expected, 5 * seen.by_weight.se()) << resamples;
    EXPECT_NEAR(seen.next.value(), seen.expected, 5 * seen.next.se()) << resamples;
  }
  // The control: plain populations of five are biased, and the test sees it.
  const Populations plain(Source::smc, true);
  EXPECT_GT(std::abs(plain.by_weight.value() - plain.expected), 8 * plain.by_weight.se());
}

// What all positives of an update count together is 1, and exact samples and those of q count half each.
TEST(PositiveSamples, ShareTheWeightInEqualHalves) {
  const comm::Communicator self = comm::Communicator::self();
  const Target target(false);
  PrefixTwist twist(*target.base);
  twist.set(rough_log_psi);
  const smc::Problem problem = target.problem();
  const twistor::exact::Source given{3, [](std::int64_t i) { return Tokens{0, i, 3, 2}; }};
  const auto total_of = [](const std::vector<double>& x) { return std::accumulate(x.begin(), x.end(), 0.0); };
  const std::map<Positives, double> expected_share{
      {Positives::exact, 1}, {Positives::both, 0.5}, {Positives::weighted, 0}};
  for (const auto& [positives, share] : expected_share) {
    const PositiveSamples samples({.batch = 6, .positive_batch = 4, .positives = positives});
    BatchSource source(problem, T, Shards(2, self), given, self);
    smc::SweepCounters counters;
    std::vector<Batch> batches;
    for (const Request& request : samples.requests())
      batches.push_back(source.draw(request, 0, twist, 7, counters));
    const PositiveWeights weights = samples.weigh(batches, 0, self);
    EXPECT_EQ(weights.exact_share, share);
    EXPECT_NEAR(total_of(weights.weighted), 1 - share, 1e-12);
    double total = 0;
    for (const Batch& batch : batches) total += static_cast<double>(T) * total_of(weights.per_step(batch));
    EXPECT_NEAR(total, 1, 1e-12);
  }
}

/// phi = 1 for those that begin with three given tokens, else 0.
class Rare final : public potential::Potential {
 public:
  explicit Rare(Tokens start) : start_(std::move(start)) {}
  std::vector<double> log_phi(const potential::Sequences& s) const override {
    std::vector<double> out;
    for (std::int64_t i = 0; i < s.size(); ++i)
      out.push_back(std::equal(start_.begin(), start_.end(), s.tokens.begin() + i * s.length) ? 0 : log_zero);
    return out;
  }
  double log_phi_bound() const override { return 0; }
  std::string description() const override { return "rare"; }

 private:
  Tokens start_;
};

/// A target of p0(phi = 1) = 0.0007.
struct RareTask {
  RareTask() {
    twist.set([](const Tokens&) { return 0.0; });
  }
  [[nodiscard]] double kl() const {
    double kl = 0, z = 0;
    for (const Path& p : all_paths(target, twist)) {
      if (potential.log_phi({target.prompt, p.tokens, T})[0] == log_zero) continue;
      const double weight = std::exp(sum(p.log_p0));
      z += weight;
      kl += weight * (sum(p.log_p0) - sum(p.log_q));
    }
    return kl / z - std::log(z);
  }
  [[nodiscard]] Trainer trainer(std::string_view objective, const ObjectiveOptions& options, Tokens known,
                                const comm::Communicator& comm, std::int64_t n_updates) {
    const exact::Target sigma{.lm = target.model(),
                              .prompt = target.prompt,
                              .length = T,
                              .potential = potential,
                              .identity = "rare"};
    const TrainOptions train{.length = T,
                             .n_shards = 4,
                             .n_updates = n_updates,
                             .adam = {.learning_rate = 0.05},
                             .known_positive = std::move(known)};
    settled = settle_positives(options, train, sigma, 0, comm);
    return {problem, twist, make_objective(objective, settled.options), settled.train, none, comm};
  }
  /// What was learned in `updates` updates, after which the run goes on with as many in another trainer.
  [[nodiscard]] std::vector<std::vector<float>> learn(std::string_view objective,
                                                      const ObjectiveOptions& options, const Tokens& known,
                                                      const comm::Communicator& comm, std::int64_t updates,
                                                      bool is_resumed = false) {
    Trainer first = trainer(objective, options, known, comm, updates);
    const std::int64_t n_first = is_resumed ? updates / 2 : updates;
    for (std::int64_t i = 0; i < n_first; ++i) skipped += first.update().skipped.empty() ? 0 : 1;
    if (is_resumed) {
      test::MemoryState state;
      first.visit_state(state);
      state.restores = true;
      twist.set([](const Tokens&) { return 0.5; });  // to be replaced
      Trainer second = trainer(objective, options, known, comm, updates);
      second.visit_state(state);
      for (std::int64_t i = n_first; i < updates; ++i) (void)second.update();
    }
    return test::values_of(twist.parameters());
  }

  Target target{false};
  Rare potential{{0, 0, 3}};
  smc::Problem problem{target.model(), target.prompt, potential};
  PrefixTwist twist{*target.base};
  exact::Source none;
  SettledPositives settled;
  std::int64_t skipped = 0;
};

ObjectiveOptions few(Positives positives) {
  return {.batch = 8, .positive_batch = 8, .positives = positives};
}

TEST(RarePositives, AreLearnedFromByAutoWhereWeightedFindsNothing) {
  if (comm::Communicator::world().size() > 1) GTEST_SKIP() << "one rank is enough";
  const comm::Communicator self = comm::Communicator::self();
  for (const char* objective : {"ctl", "dpg", "sixo"}) {
    RareTask weighted, automatic;
    const double before = weighted.kl();
    (void)weighted.learn(objective, few(Positives::weighted), {}, self, 10);
    EXPECT_EQ(weighted.skipped, 10) << objective;
    EXPECT_EQ(weighted.kl(), before) << objective;
    (void)automatic.learn(objective, few(Positives::automatic), {0, 0, 3, 2}, self, 150);
    EXPECT_EQ(automatic.settled.options.positives, Positives::conditional);
    EXPECT_EQ(automatic.skipped, 0) << objective;
    EXPECT_GT(before, 5);
    EXPECT_LT(automatic.kl(), 0.5) << objective;
  }
}

TEST(RarePositives, AreTheSameOnEveryNumberOfRanksAndAfterGoingOn) {
  const comm::Communicator world = comm::Communicator::world(), self = comm::Communicator::self();
  for (const char* objective : {"ctl", "dpg"})
    for (const Positives positives : {Positives::conditional, Positives::smc}) {
      RareTask together, alone, resumed;
      const Tokens known{0, 0, 3, 1};
      const auto expected = alone.learn(objective, few(positives), known, self, 6);
      EXPECT_TRUE(together.learn(objective, few(positives), known, world, 6) == expected) << objective;
      EXPECT_TRUE(resumed.learn(objective, few(positives), known, world, 6, true) == expected) << objective;
    }
}

TEST(RarePositives, BeginWithTheFirstThatIsFound) {
  const comm::Communicator world = comm::Communicator::world(), self = comm::Communicator::self();
  RareTask together, alone;
  ObjectiveOptions options = few(Positives::automatic);
  options.batch = options.positive_batch = 2000;  // among so many there is one; 256 of p0 had none
  EXPECT_TRUE(together.learn("ctl", options, {}, world, 3) == alone.learn("ctl", options, {}, self, 3));
  EXPECT_EQ(alone.settled.options.positives, Positives::conditional);
  EXPECT_EQ(alone.skipped, 0);
}

TEST(RarePositives, SayWhatIsWrongWithAnExample) {
  const comm::Communicator self = comm::Communicator::self();
  const auto refusal = [&](const Tokens& known) {
    RareTask task;
    try {
      (void)task.trainer("ctl", few(Positives::conditional), known, self, 1);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::config);
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_THAT(refusal({0, 0, 3}), HasSubstr("it has 3 tokens, and target.length is 4"));
  EXPECT_THAT(refusal({0, 0, 3, 9}), HasSubstr("there is no token 9"));
  EXPECT_THAT(refusal({0, 1, 3, 2}), HasSubstr("log phi -inf"));
  EXPECT_EQ(refusal({0, 0, 3, 2}), "no error");
}

TEST(RarePositives, AreSaidToBeMissing) {
  const comm::Communicator self = comm::Communicator::self();
  for (const Positives positives : {Positives::smc, Positives::conditional}) {
    RareTask task;
    Trainer trainer = task.trainer("ctl", few(positives), {}, self, 1);
    EXPECT_THAT(trainer.update().skipped, HasSubstr("train.positive_ids"));
  }
}

}  // namespace
}  // namespace twistor::learn
