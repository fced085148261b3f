// SPDX-License-Identifier: Apache-2.0
// Twists multiplied by phi of the prefix: Z_hat stays unbiased in both forms of SMC, its spread falls where
// the prefix tells, and the bits are those of one rank.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <vector>

#include "support/tabular_problem.hpp"
#include "twistor/model/absorbing.hpp"
#include "twistor/potential/registry.hpp"

namespace twistor::smc {
namespace {

constexpr std::int64_t V = 4, T = 4;

/// phi is a product over tokens, so that a prefix tells of the whole; texts may end.
struct PrefixProblem {
  explicit PrefixProblem(bool can_end) {
    if (can_end) lm = std::make_shared<model::AbsorbingModel>(table, 3, 1);
    potential::PotentialOptions options;
    options.potential = "tokens";
    options.scores = {1.5, -1, 0, 0.7};
    options.length = T;
    potential = potential::make_potential(options, {.lm = lm.get()});
  }
  [[nodiscard]] Problem problem() const { return {*lm, prompt, *potential}; }

  std::shared_ptr<const model::TabularModel> table =
      std::make_shared<model::TabularModel>(model::TabularModel::random(V, 1 + T, 11, 0.7));
  std::shared_ptr<const model::LanguageModel> lm = table;
  std::vector<std::int64_t> prompt{2};
  std::unique_ptr<potential::Potential> potential;
  test::TableTwist twist{*table, 1, [](const test::Tokens& prefix) { return 0.6 * test::rough(prefix, 9); }};
};

struct Moments {
  double mean = 0, se = 0;
  double variance = 0;
};

/// Of exp(f(log Z_hat)) over seeds.
template <class F>
Moments moments(int n, const F& f) {
  double sum = 0, squares = 0;
  for (int i = 0; i < n; ++i) {
    const double x = f(static_cast<std::uint64_t>(i));
    sum += x;
    squares += x * x;
  }
  const double mean = sum / n, variance = squares / n - mean * mean;
  return {mean, std::sqrt(variance / n), variance};
}

class PrefixWeight : public testing::TestWithParam<bool> {};

TEST_P(PrefixWeight, LeavesZHatUnbiasedInBothForms) {
  const comm::Communicator self = comm::Communicator::self();
  if (comm::Communicator::world().size() > 1) GTEST_SKIP() << "other rank counts give the same bits";
  const PrefixProblem at(GetParam());
  const auto exact = twistor::exact::enumerate(*at.lm, *at.potential, at.prompt, T);
  constexpr int n = 4000;
  for (const ProposalKind kind : {ProposalKind::base, ProposalKind::twisted, ProposalKind::tempered})
    for (const Order order : {Order::resample_first, Order::draw_first})
      for (const Trigger trigger : {Trigger::every_step, Trigger::ess}) {
        if (kind != ProposalKind::twisted && order == Order::draw_first) continue;
        const Proposal proposal(*at.lm, at.twist, kind, 0.5);
        SweepOptions options{
            .particles = 3, .length = T, .trigger = trigger, .order = order, .prefix_weight = 0.8};
        const auto z_hat = [&](std::uint64_t seed) {
          options.seed = seed;
          return std::exp(sweep(at.problem(), proposal, options, self).log_z - exact.log_z());
        };
        const auto inverse = [&](std::uint64_t seed) {
          options.seed = seed;
          const auto pinned = exact.draw(77, static_cast<std::int64_t>(seed));
          return std::exp(exact.log_z() - sweep(at.problem(), proposal, options, self, pinned).log_z);
        };
        // 4.5 standard errors: one false alarm in 147,000 for each of 32.
        const Moments plain = moments(n, z_hat), conditional = moments(n, inverse);
        EXPECT_NEAR(plain.mean, 1, 4.5 * plain.se) << name_of(kind) << name_of(order) << name_of(trigger);
        EXPECT_NEAR(conditional.mean, 1, 4.5 * conditional.se)
            << name_of(kind) << name_of(order) << name_of(trigger);
      }
}

TEST_P(PrefixWeight, LowersTheSpreadWhereThePrefixTells) {
  if (comm::Communicator::world().size() > 1) GTEST_SKIP() << "other rank counts give the same bits";
  const comm::Communicator self = comm::Communicator::self();
  const PrefixProblem at(GetParam());
  const twist::NoTwist none(V);
  const Proposal proposal(*at.lm, none, ProposalKind::base);
  const auto spread = [&](double weight, Trigger trigger) {
    SweepOptions options{.particles = 16, .length = T, .trigger = trigger, .prefix_weight = weight};
    return moments(2000,
                   [&](std::uint64_t seed) {
                     options.seed = seed;
                     return sweep(at.problem(), proposal, options, self).log_z;
                   })
        .variance;
  };
  EXPECT_LT(spread(1, Trigger::every_step), 0.8 * spread(0, Trigger::never));
  EXPECT_EQ(spread(1, Trigger::never), spread(0, Trigger::never)) << "it decides nothing";
}

TEST_P(PrefixWeight, GivesTheSameBitsOnAllRanks) {
  const comm::Communicator world = comm::Communicator::world(), self = comm::Communicator::self();
  const PrefixProblem at(GetParam());
  bool differs = false;
  for (const ProposalKind kind : {ProposalKind::base, ProposalKind::twisted})
    for (const Order order : {Order::resample_first, Order::draw_first})
      for (std::uint64_t seed = 0; seed < 20; ++seed) {
        const Proposal proposal(*at.lm, at.twist, kind);
        SweepOptions options{
            .particles = 13, .length = T, .order = order, .prefix_weight = 0.8, .seed = seed};
        const Sweep one = sweep(at.problem(), proposal, options, self),
                    all = sweep(at.problem(), proposal, options, world);
        EXPECT_EQ(one.log_z, all.log_z);
        EXPECT_EQ(one.ess, all.ess);
        options.prefix_weight = 0;
        differs |= sweep(at.problem(), proposal, options, self).log_z != one.log_z;
      }
  EXPECT_TRUE(differs) << "a weight of 0 is another sampler";
}

INSTANTIATE_TEST_SUITE_P(Texts, PrefixWeight, testing::Bool(),
                         [](const auto& end) { return end.param ? "that_end" : "of_T_tokens"; });

}  // namespace
}  // namespace twistor::smc
