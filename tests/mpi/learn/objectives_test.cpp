// SPDX-License-Identifier: Apache-2.0
// Objectives beside CTL: their gradients against enumeration, zero where the method promises it, what they
// learn, and the same bits on every number of ranks.
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <string>

#include "support/prefix_twist.hpp"
#include "support/tiny_learning.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"

namespace twistor::learn {
namespace {

using namespace test::prefixes;  // NOLINT: the whole test speaks of these
using test::Tokens;
using Gradients = std::map<std::size_t, double>;

/// What an objective is tried with.
struct Case {
  const char* name;
  Positives positives = Positives::weighted;
  bool can_end = false;
};

/// All sequences with their probabilities.
struct World {
  World(const Target& of, const twist::Twist& twist) : target(of), paths(all_paths(of, twist)) {
    std::vector<double> log_sigma;
    for (const Path& p : paths) log_sigma.push_back(p.log_sigma);
    log_z = log_sum_exp(log_sigma);
  }
  [[nodiscard]] static double p0(const Path& p) { return std::exp(sum(p.log_p0)); }
  [[nodiscard]] static double q(const Path& p) { return std::exp(sum(p.log_q)); }
  [[nodiscard]] double sigma(const Path& p) const { return std::exp(p.log_sigma - log_z); }
  [[nodiscard]] static double log_phi(const Path& p) { return p.log_sigma - sum(p.log_p0); }
  [[nodiscard]] bool has_ended(const Path& p, std::int64_t t) const {
    return target.model().end_rule().has_ended(p.tokens, t);
  }

  const Target& target;
  std::vector<Path> paths;
  double log_z = 0;
};

void add_soft_q(const World& world, const Path& p, double weight, Gradients& out) {
  for (std::size_t t = 0; t < T; ++t) {
    const double next = t + 1 < T ? p.log_p0[t + 1] + p.log_psi[t + 1] - p.log_q[t + 1] : world.log_phi(p);
    out[place_of(world.target, p.tokens, static_cast<std::int64_t>(t))] +=
        weight * 2.0 / T * (p.log_psi[t] - next);
  }
}

/// -weight d log q / d log psi, of all tokens after each prefix.
void add_likelihood(const World& world, const Path& p, double weight, Gradients& out) {
  for (std::int64_t t = 0; t < T; ++t) {
    if (world.has_ended(p, t)) return;
    out[place_of(world.target, p.tokens, t)] -= weight / T;
    Tokens prefix(p.tokens.begin(), p.tokens.begin() + t + 1);
    for (prefix.back() = 0; prefix.back() < V; ++prefix.back())
      for (const Path& other : world.paths)
        if (std::equal(prefix.begin(), prefix.end(), other.tokens.begin())) {
          out[PrefixTwist::place(prefix)] += weight / T * std::exp(other.log_q[static_cast<std::size_t>(t)]);
          break;
        }
  }
}

/// The gradient of the loss by what log psi comes from, expectations taken over all sequences.
Gradients enumerated_gradient(const Case& test, const World& world) {
  const std::string name = test.name;
  Gradients out;
  for (const Path& p : world.paths) {
    if (name == "rl") {
      add_soft_q(world, p, world.q(p), out);
      if (test.positives != Positives::weighted) add_soft_q(world, p, world.sigma(p), out);
    } else if (name == "dpg") {
      add_likelihood(world, p, world.sigma(p), out);
    } else {
      for (std::size_t t = 0; t < T; ++t) {
        double& g = out[place_of(world.target, p.tokens, static_cast<std::int64_t>(t))];
        const double psi = std::exp(p.log_psi[t]);
        g += name == "fudge" ? world.p0(p) * (psi - std::exp(world.log_phi(p))) / T
                             : (world.p0(p) * psi - world.sigma(p)) / (1 + psi) / T;
      }
    }
  }
  return out;
}

class ObjectiveOf : public testing::TestWithParam<Case> {
 protected:
  [[nodiscard]] static std::unique_ptr<Objective> objective(std::int64_t n) {
    return make_objective(GetParam().name,
                          {.batch = n, .positive_batch = n, .positives = GetParam().positives});
  }
  [[nodiscard]] Gradients gradient_seen() {
    Trainer trainer(problem, twist, objective(20000),
                    {.length = T, .n_shards = 4, .adam = {.learning_rate = 0}}, source, self);
    twist.seen.clear();
    EXPECT_EQ(trainer.update().skipped, "");
    return twist.seen;
  }
  /// Sets the twist to the one at which the loss is least.
  void set_optimal() {
    const World world(target, twist);
    std::map<std::size_t, std::vector<double>> joint, prior;
    for (const Path& p : world.paths)
      for (std::int64_t t = 0; t < T; ++t) {
        joint[place_of(target, p.tokens, t)].push_back(p.log_sigma);
        prior[place_of(target, p.tokens, t)].push_back(sum(p.log_p0));
      }
    twist.set([&](const Tokens& prefix) {
      const std::size_t place = PrefixTwist::place(prefix);
      if (!joint.contains(place)) return 0.0;
      const double log_psi = log_sum_exp(joint[place]) - log_sum_exp(prior[place]);
      if (twist.link() == twist::Link::log_sigmoid) return log_psi - std::log(-std::expm1(log_psi));
      return std::string(GetParam().name) == "sixo" ? log_psi - world.log_z : log_psi;
    });
  }

  Target target{GetParam().can_end};
  PrefixTwist twist{*target.base, objective(1)->link()};
  smc::Problem problem = target.problem();
  twistor::exact::Enumeration enumeration =
      twistor::exact::enumerate(target.model(), target.potential, target.prompt, T);
  exact::Source source{20000, [this](std::int64_t i) { return enumeration.draw(7, i); }};
  comm::Communicator world_ranks = comm::Communicator::world(), self = comm::Communicator::self();
};

class GradientOf : public ObjectiveOf {};

// 20,000 samples of each kind, as in gradient_test.cpp; errors of rl are up to 4 nats, so its terms are
// larger.
TEST_P(GradientOf, IsThatOfEnumeration) {
  if (world_ranks.size() > 1) GTEST_SKIP() << "other rank counts give the same bits";
  twist.set(rough_log_psi);
  const Gradients expected = enumerated_gradient(GetParam(), World(target, twist));
  const Gradients seen = gradient_seen();
  const double tolerance = std::string(GetParam().name) == "rl" ? 0.02 : 0.0075;
  double largest = 0;
  for (const auto& [place, value] : expected) {
    const auto found = seen.find(place);
    EXPECT_NEAR(found == seen.end() ? 0.0 : found->second, value, tolerance) << place;
    largest = std::max(largest, std::abs(value));
  }
  EXPECT_GT(largest, 3 * tolerance) << "there is something to see";
}

// Zhao et al. 2024: the optimal twists are a fixed point; rl's errors vanish for every single sample.
TEST_P(GradientOf, VanishesAtTheOptimalTwists) {
  if (world_ranks.size() > 1) GTEST_SKIP() << "other rank counts give the same bits";
  set_optimal();
  for (const auto& [place, value] : enumerated_gradient(GetParam(), World(target, twist)))
    EXPECT_NEAR(value, 0, 1e-6) << place;  // the parameters are float32
  const double tolerance = std::string(GetParam().name) == "rl" ? 1e-5 : 0.0075;
  for (const auto& [place, value] : gradient_seen()) EXPECT_NEAR(value, 0, tolerance) << place;
}

class LearningWith : public ObjectiveOf {};

TEST_P(LearningWith, LowersTheEnumeratedDivergence) {
  if (world_ranks.size() > 1) GTEST_SKIP() << "one rank is enough";
  twist.set(rough_log_psi);
  const double before = kl_sigma_q(target, twist);
  Trainer trainer(problem, twist, objective(400),
                  {.length = T, .n_shards = 2, .adam = {.learning_rate = 0.03}}, source, self);
  for (int i = 0; i < 150; ++i) (void)trainer.update();
  EXPECT_GT(before, 0.2);
  EXPECT_LT(kl_sigma_q(target, twist), 0.1 * before);
}

std::string case_name(const testing::TestParamInfo<Case>& test) {
  return std::string(test.param.name) + "_" + std::string(name_of(test.param.positives)) +
         (test.param.can_end ? "_with_ends" : "");
}
constexpr Case with_gradient[] = {{"rl"},
                                  {"rl", Positives::exact, true},
                                  {"sixo"},
                                  {"sixo", Positives::exact, true},
                                  {"sixo", Positives::both},
                                  {"sixo", Positives::smc},
                                  {"rl", Positives::conditional},
                                  {"fudge"},
                                  {"fudge", Positives::weighted, true},
                                  {"dpg"},
                                  {"dpg", Positives::exact, true},
                                  {"dpg", Positives::both},
                                  {"dpg", Positives::smc},
                                  {"dpg", Positives::conditional, true}};
INSTANTIATE_TEST_SUITE_P(All, GradientOf, testing::ValuesIn(with_gradient), case_name);
INSTANTIATE_TEST_SUITE_P(All, LearningWith, testing::ValuesIn(with_gradient), case_name);
constexpr Case policy[] = {{"ppo"}, {"ppo", Positives::weighted, true}};
INSTANTIATE_TEST_SUITE_P(Ppo, LearningWith, testing::ValuesIn(policy), case_name);

using test::TinyTask;

std::unique_ptr<Objective> small_objective(std::string_view name, std::int64_t inner_epochs = 0) {
  return make_objective(
      name, {.batch = 13, .positive_batch = 11, .positives = Positives::both, .inner_epochs = inner_epochs});
}

/// Those that learn any twist; body_test.cpp and distill_test.cpp have the others.
std::vector<std::string_view> names_for_heads() {
  std::vector<std::string_view> out = objective_names();
  std::erase_if(out, [](std::string_view name) { return make_objective(name, {})->needs_ratio(); });
  return out;
}

TEST(EveryObjective, LearnsTheSameToTheLastBitOnEveryNumberOfRanks) {
  const comm::Communicator world = comm::Communicator::world(), self = comm::Communicator::self();
  const TinyTask task;
  for (const std::string_view name : names_for_heads())
    for (const char* form : {"mlp", "tied_linear"}) {
      test::Learner a(task, form, small_objective(name), world), b(task, form, small_objective(name), self);
      const auto before = test::values_of(a.twist->parameters());
      const auto after = test::values_of(a.learn(2));
      EXPECT_TRUE(after == test::values_of(b.learn(2))) << name << " " << form;
      EXPECT_FALSE(after == before) << name << " " << form;
      EXPECT_EQ(a.last.loss, b.last.loss) << name;
      EXPECT_EQ(a.last.numbers, b.last.numbers) << name;
    }
}

// Samples are used for several steps: what depends on the twist has to follow it.
TEST(EveryObjective, MayTakeSeveralStepsWithItsSamples) {
  const comm::Communicator world = comm::Communicator::world(), self = comm::Communicator::self();
  const TinyTask task;
  for (const std::string_view name : names_for_heads()) {
    test::Learner once(task, "tied_mlp", small_objective(name, 1), self),
        thrice(task, "tied_mlp", small_objective(name, 3), self),
        on_ranks(task, "tied_mlp", small_objective(name, 3), world);
    const auto three_steps = test::values_of(thrice.learn(1));
    EXPECT_FALSE(test::values_of(once.learn(1)) == three_steps) << name;
    EXPECT_TRUE(test::values_of(on_ranks.learn(1)) == three_steps) << name;
  }
}

TEST(EveryObjective, GoesOnFromItsStateToTheBit) {
  const comm::Communicator self = comm::Communicator::self();
  const TinyTask task;
  for (const std::string_view name : names_for_heads()) {
    test::Learner whole(task, "mlp", small_objective(name), self),
        first(task, "mlp", small_objective(name), self), second(task, "mlp", small_objective(name), self);
    first.learn(2);
    test::MemoryState state;
    first.trainer.visit_state(state);
    state.restores = true;
    second.trainer.visit_state(state);
    EXPECT_TRUE(test::values_of(second.learn(2)) == test::values_of(whole.learn(4))) << name;
  }
}

TEST(EveryObjective, SaysWhatItCannotLearn) {
  const comm::Communicator self = comm::Communicator::self();
  TinyTask task;
  task.potential = test::RoughPotential(std::numeric_limits<double>::infinity());  // log phi = -inf
  for (const std::string_view name : {"rl", "ppo", "sixo", "dpg"}) {
    test::Learner learner(task, "mlp", make_objective(name, {.batch = 8, .positives = Positives::weighted}),
                          self);
    const auto before = test::values_of(learner.twist->parameters());
    EXPECT_TRUE(test::values_of(learner.learn(1)) == before) << name;
    EXPECT_THAT(learner.last.skipped, testing::HasSubstr("target.log_floor")) << name;
  }
}

/// phi without a bound.
class Unbounded final : public potential::Potential {
 public:
  std::vector<double> log_phi(const potential::Sequences& s) const override {
    return std::vector<double>(static_cast<std::size_t>(s.size()), 1.0);
  }
  double log_phi_bound() const override { return std::numeric_limits<double>::infinity(); }
  std::string description() const override { return "unbounded"; }
};

TEST(Fudge, NeedsABoundOfPhi) {
  const TinyTask task;
  const Unbounded unbounded;
  const smc::Problem problem{*task.lm, task.prompt, unbounded};
  try {
    make_objective("fudge", {})->check(problem);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::config);
    EXPECT_THAT(error.text(), testing::HasSubstr("no bound of phi is known: unbounded"));
    EXPECT_THAT(error.text(), testing::HasSubstr("set train.objective = ctl"));
  }
}

}  // namespace
}  // namespace twistor::learn
