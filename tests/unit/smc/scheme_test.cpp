// SPDX-License-Identifier: Apache-2.0
// Plain resampling: exact edge cases, offspring means, E[Z_hat] = Z on a tabular chain, and a wrong resampler
// that fails.
#include "twistor/smc/scheme.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "support/toy_smc.hpp"
#include "twistor/base/error.hpp"

namespace twistor::smc {
namespace {

using testing::Each;
using testing::ElementsAre;

constexpr double minus_inf = -std::numeric_limits<double>::infinity();

std::vector<double> logs(const std::vector<double>& w) {
  std::vector<double> result;
  for (const double x : w) result.push_back(std::log(x));
  return result;
}

std::vector<std::int64_t> offspring(const std::vector<std::int64_t>& ancestors) {
  std::vector<std::int64_t> n(ancestors.size(), 0);
  for (const std::int64_t a : ancestors) ++n[static_cast<std::size_t>(a)];
  return n;
}

class PlainForm : public testing::TestWithParam<SchemeKind> {};
INSTANTIATE_TEST_SUITE_P(Scheme, PlainForm,
                         testing::Values(SchemeKind::multinomial, SchemeKind::stratified,
                                         SchemeKind::systematic, SchemeKind::residual),
                         [](const auto& param) { return std::string(name_of(param.param)); });

TEST_P(PlainForm, NameReadsBack) {
  EXPECT_EQ(from_name<SchemeKind>(name_of(GetParam()), "smc.resampling"), GetParam());
}

TEST_P(PlainForm, OneParticleIsItsOwnAncestor) {
  EXPECT_THAT(ancestors(GetParam(), std::vector<double>{-700.0}, 3, 1), ElementsAre(0));
  const ConditionalAncestors c = conditional_ancestors(GetParam(), std::vector<double>{12.0}, 0, 3, 1);
  EXPECT_THAT(c.ancestors, ElementsAre(0));
  EXPECT_EQ(c.pinned_slot, 0);
}

TEST_P(PlainForm, SinglePositiveWeightTakesAll) {
  const std::vector<double> log_w{minus_inf, minus_inf, -1e300, minus_inf, minus_inf};
  for (std::uint32_t step = 0; step < 50; ++step) {
    EXPECT_THAT(ancestors(GetParam(), log_w, 5, step), Each(2));
    EXPECT_THAT(conditional_ancestors(GetParam(), log_w, 2, 5, step).ancestors, Each(2));
  }
}

TEST_P(PlainForm, ZeroWeightsHaveNoOffspring) {
  const std::vector<double> log_w{minus_inf, 0.0, minus_inf, -3.0, minus_inf, 2.0, minus_inf};
  for (std::uint32_t step = 0; step < 2000; ++step) {
    EXPECT_THAT(ancestors(GetParam(), log_w, 5, step), Each(testing::AnyOf(1, 3, 5)));
    EXPECT_THAT(conditional_ancestors(GetParam(), log_w, 3, 5, step).ancestors,
                Each(testing::AnyOf(1, 3, 5)));
  }
}

TEST_P(PlainForm, RejectsWhatIsNoWeight) {
  EXPECT_THROW((void)ancestors(GetParam(), std::vector<double>{0.0, std::nan("")}, 1, 1), Error);
  EXPECT_THROW((void)ancestors(GetParam(), std::vector<double>{0.0, -minus_inf}, 1, 1), Error);
  EXPECT_THROW((void)ancestors(GetParam(), std::vector<double>{minus_inf, minus_inf}, 1, 1), Error);
  EXPECT_THROW((void)ancestors(GetParam(), std::vector<double>{}, 1, 1), Error);
  EXPECT_THROW((void)conditional_ancestors(GetParam(), std::vector<double>{0.0, minus_inf}, 1, 1, 1), Error);
  EXPECT_THROW((void)conditional_ancestors(GetParam(), std::vector<double>{0.0, 0.0}, 2, 1, 1), Error);
}

TEST_P(PlainForm, PinnedPathSurvivesEvenWithAVanishingWeight) {
  const std::vector<double> log_w{0.0, -1.0, -400.0, 0.5};
  for (std::uint32_t step = 0; step < 500; ++step) {
    const ConditionalAncestors c = conditional_ancestors(GetParam(), log_w, 2, 7, step);
    EXPECT_EQ(c.ancestors.at(static_cast<std::size_t>(c.pinned_slot)), 2);
    const Resampled r = relabel(c.ancestors, c.pinned_slot);
    EXPECT_EQ(r.ancestor_of_id.at(static_cast<std::size_t>(r.pinned_id)), 2);
  }
}

// A power of two as common factor changes no bit of log_w - max for these values.
TEST_P(PlainForm, AddedConstantChangesNothing) {
  std::vector<double> log_w(100), shifted;
  for (std::size_t i = 0; i < log_w.size(); ++i) log_w[i] = 0.25 * static_cast<double>((i * 37) % 29);
  for (const double x : log_w) shifted.push_back(x - 1024.0);
  EXPECT_EQ(ancestors(GetParam(), log_w, 9, 4), ancestors(GetParam(), shifted, 9, 4));
}

TEST_P(PlainForm, StepsAndSeedsDiffer) {
  std::vector<double> log_w(64);
  for (std::size_t i = 0; i < log_w.size(); ++i) log_w[i] = std::sin(static_cast<double>(i));
  EXPECT_EQ(ancestors(GetParam(), log_w, 1, 1), ancestors(GetParam(), log_w, 1, 1));
  EXPECT_NE(ancestors(GetParam(), log_w, 1, 1), ancestors(GetParam(), log_w, 1, 2));
  EXPECT_NE(ancestors(GetParam(), log_w, 1, 1), ancestors(GetParam(), log_w, 2, 1));
}

// K W at whole numbers: everything but multinomial must hit them exactly, whatever the random numbers.
TEST(Schemes, WholeNumbersAreMetExactly) {
  const double ln_2 = std::log(2.0);
  const std::vector<double> equal(11, -2.5), two{0.0, 0.0, minus_inf, minus_inf};
  const std::vector<double> mixed{-2 * ln_2, -ln_2, 0, -2 * ln_2, minus_inf, minus_inf, minus_inf, minus_inf};
  for (const SchemeKind kind : {SchemeKind::stratified, SchemeKind::systematic, SchemeKind::residual})
    for (std::uint32_t step = 0; step < 300; ++step) {
      EXPECT_THAT(offspring(ancestors(kind, equal, 11, step)), Each(1)) << name_of(kind);
      EXPECT_THAT(offspring(ancestors(kind, two, 11, step)), ElementsAre(2, 2, 0, 0)) << name_of(kind);
      const auto n = offspring(ancestors(kind, mixed, 11, step));
      EXPECT_THAT(n, ElementsAre(1, 2, 4, 1, 0, 0, 0, 0)) << name_of(kind);
    }
}

// Systematic and residual offspring are floor or ceil (residual: at least floor); stratified within 1 of both
// neighbours.
TEST(Schemes, OffspringStayCloseToTheirMean) {
  const int K = 37;
  std::vector<double> w(K);
  for (std::size_t i = 0; i < w.size(); ++i) w[i] = std::exp(2.5 * Philox(1, Stream::test, 1, i).normal());
  const double sum = std::accumulate(w.begin(), w.end(), 0.0);
  for (std::uint32_t step = 0; step < 500; ++step) {
    const auto systematic = offspring(ancestors(SchemeKind::systematic, logs(w), 2, step));
    const auto stratified = offspring(ancestors(SchemeKind::stratified, logs(w), 2, step));
    const auto residual = offspring(ancestors(SchemeKind::residual, logs(w), 2, step));
    for (std::size_t i = 0; i < w.size(); ++i) {
      const double mean = K * w[i] / sum;
      EXPECT_LT(std::abs(static_cast<double>(systematic[i]) - mean), 1.0);
      EXPECT_LT(std::abs(static_cast<double>(stratified[i]) - mean), 2.0);
      EXPECT_GE(static_cast<double>(residual[i]), std::floor(mean));
    }
  }
}

// 4 x 24 means, each allowed 5 standard errors: a false alarm in 2e4 seeds.
TEST_P(PlainForm, OffspringMeansAreKTimesW) {
  const std::size_t K = 24;
  const int n = 40000;
  std::vector<double> w(K);
  for (std::size_t i = 0; i < K; ++i) w[i] = std::exp(1.5 * Philox(4, Stream::test, 2, i).normal());
  w[5] = 0;
  const double sum = std::accumulate(w.begin(), w.end(), 0.0);
  std::vector<double> total(K, 0.0), squares(K, 0.0);
  for (int r = 0; r < n; ++r) {
    const auto count = offspring(ancestors(GetParam(), logs(w), 77, static_cast<std::uint32_t>(r)));
    for (std::size_t i = 0; i < K; ++i) {
      total[i] += static_cast<double>(count[i]);
      squares[i] += static_cast<double>(count[i] * count[i]);
    }
  }
  for (std::size_t i = 0; i < K; ++i) {
    const double mean = total[i] / n, variance = squares[i] / n - mean * mean;
    EXPECT_NEAR(mean, static_cast<double>(K) * w[i] / sum, 5 * std::sqrt(variance / n) + 1e-12) << i;
  }
}

// Slot m of a stratified draw looks at m + u with the u of its own key: with weights 3 : 1 slot 0 has
// ancestor 0 and slot 1 has ancestor 1 if 1 + u is at least 1.5.
TEST(Schemes, RandomNumbersAreKeyedBySlot) {
  const std::vector<double> log_w = logs({3.0, 1.0});
  for (std::uint32_t step = 0; step < 200; ++step) {
    const bool stratified = Philox(6, Stream::resampling, step, 1).uniform() >= 0.5;
    const bool systematic = Philox(6, Stream::resampling, step, 0).uniform() >= 0.5;
    EXPECT_THAT(ancestors(SchemeKind::stratified, log_w, 6, step), ElementsAre(0, stratified ? 1 : 0));
    EXPECT_THAT(ancestors(SchemeKind::systematic, log_w, 6, step), ElementsAre(0, systematic ? 1 : 0));
  }
}

// The same on every machine and with every compiler: golden values of this implementation.
TEST(Schemes, KnownAnswers) {
  std::vector<double> log_w(12);
  for (std::size_t i = 0; i < log_w.size(); ++i) log_w[i] = 0.3 * static_cast<double>((i * 7) % 12) - 40.0;
  EXPECT_THAT(ancestors(SchemeKind::multinomial, log_w, 2026, 3),
              ElementsAre(5, 3, 3, 10, 11, 5, 6, 7, 10, 8, 3, 5));
  EXPECT_THAT(ancestors(SchemeKind::stratified, log_w, 2026, 3),
              ElementsAre(1, 2, 3, 5, 5, 5, 5, 8, 9, 10, 10, 11));
  EXPECT_THAT(ancestors(SchemeKind::systematic, log_w, 2026, 3),
              ElementsAre(1, 3, 3, 5, 5, 5, 5, 7, 8, 10, 10, 11));
  EXPECT_THAT(ancestors(SchemeKind::residual, log_w, 2026, 3),
              ElementsAre(3, 5, 5, 5, 8, 10, 10, 7, 10, 8, 1, 5));
}

TEST(Relabel, FirstOffspringKeepsTheIdOthersTakeTheFreedOnes) {
  // Parents 1 (slots 1, 4), 3 (slots 0, 2, 5), 5 (slot 3); freed: 0, 2, 4.
  const std::vector<std::int64_t> a{3, 1, 3, 5, 1, 3};
  EXPECT_THAT(relabel(a).ancestor_of_id, ElementsAre(1, 1, 3, 3, 3, 5));
  EXPECT_EQ(relabel(a).pinned_id, -1);
  const std::vector<std::int64_t> new_id_of_slot{3, 1, 2, 5, 0, 4};
  for (std::int64_t m = 0; m < 6; ++m) {
    EXPECT_EQ(relabel(a, m).pinned_id, new_id_of_slot[static_cast<std::size_t>(m)]);
    EXPECT_EQ(relabel(a, m).ancestor_of_id, relabel(a).ancestor_of_id);
  }
  EXPECT_THROW((void)relabel(std::vector<std::int64_t>{0, 2}), Error);
  EXPECT_THROW((void)relabel(std::vector<std::int64_t>{0, 1}, 2), Error);
}

TEST(SchemeNames, UnknownNameIsAnError) {
  EXPECT_THROW((void)from_name<SchemeKind>("systemic", "smc.resampling"), Error);
}

// E[Z_hat] = Z with 40000 sweeps each: 4 x 2 x 3 averages at 4.5 standard errors, a false alarm in 6000
// seeds.
class PlainSweep : public PlainForm {};
INSTANTIATE_TEST_SUITE_P(Scheme, PlainSweep,
                         testing::Values(SchemeKind::multinomial, SchemeKind::stratified,
                                         SchemeKind::systematic, SchemeKind::residual),
                         [](const auto& param) { return std::string(name_of(param.param)); });

TEST_P(PlainSweep, ZHatIsUnbiased) {
  const test::ToyChain chain = test::make_toy_chain(2, 5, 0.8, 0.8, 1);
  for (const std::int64_t K : {3, 6})
    for (const double threshold : {2.0, 0.7, 0.0}) {
      const test::Average z =
          test::average_z_hat(chain, K, threshold, 40000, test::library_resampler(GetParam()));
      EXPECT_LT(z.distance(1), 4.5) << "K " << K << " threshold " << threshold << ": " << z.mean << " +- "
                                    << z.se;
      EXPECT_LT(z.se, 0.006);
    }
}

// The control: keeping the heaviest half twice looks like resampling and is wrong.
TEST(PlainSweepControl, KeepingTheHeaviestFails) {
  const test::ToyChain chain = test::make_toy_chain(4, 5, 1.0, 0.0, 21);
  const test::Resampler heaviest = [](std::span<const double> log_w, std::int64_t, std::uint64_t,
                                      std::uint32_t) {
    std::vector<std::int64_t> order(log_w.size()), a(log_w.size());
    std::iota(order.begin(), order.end(), 0);
    std::ranges::stable_sort(order, [&](std::int64_t i, std::int64_t j) {
      return log_w[static_cast<std::size_t>(i)] > log_w[static_cast<std::size_t>(j)];
    });
    for (std::size_t m = 0; m < a.size(); ++m) a[m] = order[m / 2];
    return relabel(a);
  };
  EXPECT_GT(test::average_z_hat(chain, 6, 2.0, 20000, heaviest).distance(1), 8);
}

// Integer weights round tiny ones up: e^-45 of the largest is drawn with 1.1e-16 in the place of 2.9e-20, and
// at a million particles e^-37 with 2.3e-13. What was used times the correction is W again.
TEST(Correction, MakesUpForTheRoundingOfWeights) {
  std::vector<double> few{0, -45, -60, log_zero, -1}, many(1'000'000, -37);
  many[7] = 0;
  for (const std::vector<double>& log_w : {few, many}) {
    const double log_sum = log_sum_exp(log_w);
    for (const Resampled& r : {resample(SchemeKind::stratified, log_w, 1, 0),
                               conditional_resample(SchemeKind::residual, log_w, 0, 1, 0)}) {
      ASSERT_EQ(r.weights.size(), log_w.size());
      double total = 0, largest = 0;
      for (std::size_t i = 0; i < std::min<std::size_t>(log_w.size(), 100); ++i) {
        const double used = static_cast<double>(r.weights[i]) / static_cast<double>(r.total);
        if (log_w[i] == log_zero) {
          EXPECT_EQ(used, 0);
          continue;
        }
        const double c = r.log_correction(static_cast<std::int64_t>(i), log_w[i], log_sum);
        EXPECT_NEAR(used * std::exp(c) / std::exp(log_w[i] - log_sum), 1, 1e-12);
        largest = std::max(largest, std::abs(c));
        total += used;
      }
      EXPECT_GT(largest, 5) << "there is something to correct";
      EXPECT_LE(total, 1);
    }
  }
  EXPECT_EQ(Resampled{}.log_correction(0, -1, 3), 0) << "nothing is known to have been rounded";
}

}  // namespace
}  // namespace twistor::smc
