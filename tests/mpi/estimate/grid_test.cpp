// SPDX-License-Identifier: Apache-2.0
// A grid of evaluations: each is what evaluate() gives at its K and seed, on any number of ranks and after an
// interruption, and the gap between the bounds falls as 1 / K.
#include "twistor/estimate/grid.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "support/tabular_problem.hpp"

namespace twistor::estimate {
namespace {

class GridOfTabular : public testing::Test {
 protected:
  [[nodiscard]] std::vector<Sampler> samplers() const {
    return {{"base", p.problem(), {p.lm, none, smc::ProposalKind::base}, smc::Trigger::ess},
            {"twist", p.problem(), {p.lm, twist, smc::ProposalKind::twisted}, smc::Trigger::ess, 7}};
  }
  [[nodiscard]] GridWork work() const {
    GridWork out;
    out.each.repeats = 3;
    out.each.samples = 20;
    out.each.sweep.length = p.T;
    out.each.known.exact_log_z = target.log_z();
    out.each.enumerate = true;
    out.exact = {13, [this](std::int64_t i) { return target.draw(3, i); }};
    return out;
  }
  /// By itself, on this rank alone: seed j of two takes exact samples j, j + 2, ...
  [[nodiscard]] Evaluation alone(const Sampler& sampler, std::int64_t K, std::uint64_t seed,
                                 std::int64_t j) const {
    EvaluationOptions options = work().each;
    options.sweep.particles = K;
    options.sweep.seed = seed;
    options.sweep.trigger = sampler.trigger;
    options.trace = false;
    options.known.n_exact = 7 - j;
    const exact::Source part{7 - j, [&](std::int64_t i) { return target.draw(3, j + 2 * i); }};
    Findings found;
    Evaluation e =
        evaluate(sampler.problem, sampler.proposal, options, part, self, comm::make_groups(self, 0), found)
            .value();
    e.update = sampler.update;
    e.seconds = 0;
    return e;
  }

  test::TabularProblem p;
  twist::NoTwist none{p.V};
  test::TableTwist twist{p.lm, 1, [](const test::Tokens& prefix) { return 1.2 * test::rough(prefix, 9); }};
  twistor::exact::Enumeration target = twistor::exact::enumerate(p.lm, p.potential, p.prompt, p.T);
  comm::Communicator self = comm::Communicator::self(), world = comm::Communicator::world();
};

/// NaN equals NaN.
bool are_same(const std::vector<double>& a, const std::vector<double>& b) {
  return std::ranges::equal(a, b,
                            [](double x, double y) { return x == y || (std::isnan(x) && std::isnan(y)); });
}

void expect_same(const Evaluation& a, const Evaluation& b, const std::string& where) {
  const std::vector<double> x = to_row(a), y = to_row(b);
  ASSERT_EQ(x.size(), y.size()) << where;
  for (std::size_t i = 0; i < x.size(); ++i)
    EXPECT_TRUE(x[i] == y[i] || (std::isnan(x[i]) && std::isnan(y[i])))
        << where << ", number " << i << ": " << x[i] << " and " << y[i];
}

TEST_F(GridOfTabular, IsEvaluationsAtEachPointUnderAnyGrouping) {
  const Grid grid{{4, 9}, {5, 6}};
  const std::vector<Sampler> both = samplers();
  for (const int size : {0, 1}) {
    Pieces found;
    Counters counters;
    const auto all =
        evaluate_grid(grid, both, work(), world, comm::make_groups(world, size), found, counters).value();
    ASSERT_EQ(all.size(), 4u);
    EXPECT_EQ(static_cast<std::int64_t>(found.size()), n_pieces(grid, 2, true));
    for (std::size_t point = 0; point < 4; ++point)
      for (std::size_t s = 0; s < 2; ++s)
        expect_same(all[point][s],
                    alone(both[s], grid.particles[point / 2], grid.seeds[point % 2],
                          static_cast<std::int64_t>(point % 2)),
                    "point " + std::to_string(point) + ", " + both[s].name);
  }
}

TEST_F(GridOfTabular, GoesOnAfterAnInterruption) {
  const Grid grid{{4, 9}, {5, 6}};
  const std::vector<Sampler> both = samplers();
  const comm::Groups groups = comm::make_groups(world, 1);
  Pieces whole, cut;
  Counters counters;
  ASSERT_TRUE(evaluate_grid(grid, both, work(), world, groups, whole, counters));
  GridWork stopped = work();
  const Pieces first{{2, whole.at(2)}, {5, whole.at(5)}, {9, whole.at(9)}};
  cut = first;
  stopped.each.steering.interrupt = stopped.each.steering.wish = [] { return true; };
  EXPECT_FALSE(evaluate_grid(grid, both, stopped, world, groups, cut, counters));
  for (const auto& [piece, numbers] : first)
    EXPECT_TRUE(are_same(cut.at(piece), numbers)) << "piece " << piece;
  EXPECT_LT(cut.size(), whole.size());
  ASSERT_TRUE(evaluate_grid(grid, both, work(), world, groups, cut, counters));
  EXPECT_EQ(to_numbers(cut).size(), to_numbers(whole).size());
  for (const auto& [piece, numbers] : whole)
    EXPECT_TRUE(are_same(numbers, cut.at(piece))) << "piece " << piece;
}

// Fixed seeds. The standard error of the exponent is about 0.1; a gap that did not fall would give 0.
TEST_F(GridOfTabular, GapFallsAsOneOverK) {
  const Grid grid{{4, 8, 16, 32}, {1, 2, 3, 4, 5, 6, 7, 8}};
  GridWork many = work();
  many.each.repeats = 150;
  many.exact.n = 1200;
  many.each.enumerate = false;
  const std::vector<Sampler> base{samplers().front()};
  Pieces found;
  Counters counters;
  const auto all =
      evaluate_grid(grid, base, many, world, comm::make_groups(world, 1), found, counters).value();
  std::vector<std::vector<double>> gaps;
  for (std::size_t k = 0; k < 4; ++k) {
    gaps.emplace_back();
    for (std::size_t j = 0; j < 8; ++j) {
      const Evaluation& e = all[8 * k + j][0];
      gaps.back().push_back(e["log_z.smc_upper"].mean - e["log_z.smc_lower"].mean);
    }
  }
  const Estimate slope = power_law(std::vector<double>{4, 8, 16, 32}, gaps);
  EXPECT_EQ(slope.n, 8);
  EXPECT_NEAR(slope.mean, -1, 0.35);
  EXPECT_LT(slope.se, 0.3);
}

}  // namespace
}  // namespace twistor::estimate
