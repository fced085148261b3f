// SPDX-License-Identifier: Apache-2.0
// Z E[1/Z_hat] = 1 for whole conditional sweeps, with the power to see a wrong law: a model with memory,
// rough weights, 60,000 sweeps, and the mistake itself run through sweep().
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "support/tabular_problem.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/estimate/statistics.hpp"

namespace twistor::smc {
namespace {

constexpr std::int64_t V = 2, T = 5, K = 3, n_sweeps = 60000, n_few = 20000;

/// sum of normal numbers of every (t, s_t): what each step weighs.
double rough_path(std::span<const std::int64_t> s) {
  double sum = 0;
  for (std::size_t t = 0; t < s.size(); ++t) {
    Philox random(1, Stream::test, static_cast<std::uint32_t>(t), static_cast<std::uint64_t>(s[t]));
    sum += 0.8 * random.normal();
  }
  return sum;
}

class RoughPath final : public potential::Potential {
 public:
  std::vector<double> log_phi(const potential::Sequences& s) const override {
    std::vector<double> out;
    for (std::int64_t i = 0; i < s.size(); ++i)
      out.push_back(rough_path(s.tokens.subspan(static_cast<std::size_t>(i * T), T)));
    return out;
  }
  double log_phi_bound() const override { return 100; }
  std::string description() const override { return "rough path"; }
};

/// Two states that stay with probability 0.8: the longer the memory, the more a wrong ancestor shows.
struct Chain {
  model::TabularModel lm =
      model::TabularModel::order1(V, 1 + T, {std::log(0.8), std::log(0.2), std::log(0.2), std::log(0.8)});
  test::Tokens prompt{0};
  RoughPath potential;
  twistor::exact::Enumeration exact = twistor::exact::enumerate(lm, potential, prompt, T);
  test::TableTwist twist{lm, 1, [](const test::Tokens& prefix) { return rough_path(prefix); }};
};

/// The mistake: the plain scheme, and then the pinned particle's slot overwritten with it.
Resampled overwritten(SchemeKind kind, std::span<const double> log_w, std::int64_t pinned, std::uint64_t seed,
                      std::uint32_t step) {
  std::vector<std::int64_t> a = ancestors(kind, log_w, seed, step);
  a[static_cast<std::size_t>(pinned)] = pinned;
  return relabel(a, pinned);
}

/// Offspring that do not look at the weights at all: right if what was used is made up for, and only then.
Resampled flat(SchemeKind kind, std::span<const double> log_w, std::int64_t pinned, std::uint64_t seed,
               std::uint32_t step) {
  return conditional_resample(kind, std::vector<double>(log_w.size(), 0.0), pinned, seed, step);
}
Resampled flat_without_correction(SchemeKind kind, std::span<const double> log_w, std::int64_t pinned,
                                  std::uint64_t seed, std::uint32_t step) {
  Resampled out = flat(kind, log_w, pinned, seed, step);
  out.weights.clear();
  return out;
}

struct Mean {
  double deviation = 0;  // in standard errors
  estimate::Estimate value;
};

/// Of Z / Z_hat over so many sweeps.
Mean inverse_z(const Chain& chain, SchemeKind scheme, ProposalKind kind, ConditionalLaw law, std::int64_t n) {
  const comm::Communicator self = comm::Communicator::self();
  const Proposal proposal(chain.lm, chain.twist, kind);
  const Problem problem = Problem{chain.lm, chain.prompt, chain.potential}.with_start();
  SweepOptions o{.particles = K, .length = T, .scheme = scheme};
  std::vector<double> ratio;
  for (std::int64_t run = 0; run < n; ++run) {
    o.seed = derive_seed(4, Stream::test, static_cast<std::uint64_t>(run));
    const test::Tokens path = chain.exact.draw(5, run);
    ratio.push_back(std::exp(chain.exact.log_z() - sweep(problem, proposal, o, self, path, law).log_z));
  }
  const estimate::Estimate mean = estimate::mean_estimate(ratio);
  return {std::abs(mean.mean - 1) / mean.se, mean};
}

class WholeSweepOf : public testing::TestWithParam<std::tuple<SchemeKind, ProposalKind>> {};

// The right law at 4.5 standard errors (one false alarm in 150,000), the wrong one beyond 8 of them.
TEST_P(WholeSweepOf, FollowsTheConditionalLawAndNoOther) {
  if (comm::Communicator::world().size() > 1) GTEST_SKIP() << "one rank is enough, see sweep_test.cpp";
  const Chain chain;
  const auto [scheme, kind] = GetParam();
  const Mean right = inverse_z(chain, scheme, kind, conditional_resample, n_sweeps);
  EXPECT_LT(right.deviation, 4.5) << right.value.mean << " +- " << right.value.se;
  EXPECT_LT(right.value.se, 0.004);
  const Mean wrong = inverse_z(chain, scheme, kind, overwritten, n_sweeps);
  EXPECT_GT(wrong.deviation, 8) << wrong.value.mean << " +- " << wrong.value.se;
}
INSTANTIATE_TEST_SUITE_P(Schemes, WholeSweepOf,
                         testing::Values(std::tuple(SchemeKind::stratified, ProposalKind::base),
                                         std::tuple(SchemeKind::systematic, ProposalKind::base),
                                         std::tuple(SchemeKind::residual, ProposalKind::base)),
                         [](const auto& test) {
                           return std::string(twistor::name_of(std::get<0>(test.param)));
                         });

// Every sweep makes up for the difference between the weights and what resampling has used for them.
TEST(WholeSweep, MakesUpForWhatResamplingHasUsed) {
  if (comm::Communicator::world().size() > 1) GTEST_SKIP() << "one rank is enough, see sweep_test.cpp";
  const Chain chain;
  const Mean right = inverse_z(chain, SchemeKind::multinomial, ProposalKind::base, flat, n_few);
  EXPECT_LT(right.deviation, 4.5) << right.value.mean << " +- " << right.value.se;
  EXPECT_LT(right.value.se, 0.02);
  const Mean wrong =
      inverse_z(chain, SchemeKind::multinomial, ProposalKind::base, flat_without_correction, n_few);
  EXPECT_GT(wrong.deviation, 8) << wrong.value.mean << " +- " << wrong.value.se;
}

}  // namespace
}  // namespace twistor::smc
