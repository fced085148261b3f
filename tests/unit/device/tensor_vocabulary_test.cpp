// SPDX-License-Identifier: Apache-2.0
// Sums and draws of whole rows on a device, against plain sums in float64.
#include "twistor/device/tensor_vocabulary.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "support/engines.hpp"
#include "twistor/base/philox.hpp"

namespace twistor::device {
namespace {

constexpr std::int64_t n = 5, V = 700;  // two whole blocks and a part
constexpr double inf = std::numeric_limits<double>::infinity();

/// Scores whose last row has no weight, and whose row 1 has weight in its last column alone.
std::vector<std::vector<float>> random_scores(std::uint32_t which) {
  std::vector<std::vector<float>> rows;
  Philox random(3, Stream::test, which, 0);
  for (std::int64_t r = 0; r < n; ++r) {
    auto& row = rows.emplace_back();
    for (std::int64_t v = 0; v < V; ++v) row.push_back(static_cast<float>(3 * random.normal()));
  }
  std::fill(rows[1].begin(), rows[1].end() - 1, -std::numeric_limits<float>::infinity());
  std::fill(rows[n - 1].begin(), rows[n - 1].end(), -std::numeric_limits<float>::infinity());
  return rows;
}

class TensorVocabulary : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    engine = test::engine_named(GetParam());
    if (engine == nullptr) GTEST_SKIP() << "no GPU is asked for";
    a = random_scores(1);
    b = random_scores(2);
    rows = {upload(a), upload(b), beta, true};
    kernels = engine->vocabulary();
  }
  [[nodiscard]] at::Tensor upload(const std::vector<std::vector<float>>& values) const {
    at::Tensor out = make_scores(n, V, engine->device());
    for (std::int64_t r = 0; r < n; ++r)
      out.select(0, r).narrow(0, 0, V).copy_(engine->upload(values[static_cast<std::size_t>(r)]));
    return out;
  }
  [[nodiscard]] double score(std::int64_t row, std::int64_t v) const {
    const auto r = static_cast<std::size_t>(row), c = static_cast<std::size_t>(v);
    return static_cast<double>(a[r][c]) + beta * static_cast<double>(b[r][c]);
  }
  [[nodiscard]] double log_sum(std::int64_t row, std::int64_t begin, std::int64_t end) const {
    double sum = 0;
    for (std::int64_t v = begin; v < end; ++v) sum += std::exp(score(row, v));
    return std::log(sum);
  }
  /// By inversion over the whole row.
  [[nodiscard]] std::int64_t drawn(std::int64_t row, double u) const {
    const double total = log_sum(row, 0, V);
    double sum = 0;
    for (std::int64_t v = 0; v < V; ++v)
      if ((sum += std::exp(score(row, v) - total)) > u) return v;
    return -1;
  }

  static constexpr double beta = 0.5;
  std::shared_ptr<const Engine> engine;
  std::vector<std::vector<float>> a, b;
  ScoreRows rows;
  const VocabularyKernels* kernels = nullptr;
};

TEST_P(TensorVocabulary, SumsOfBlocksAreThoseOfTheirColumns) {
  const ScoreSums all = kernels->sum(rows);
  const std::vector<double> sums = numbers_of(all.blocks), of_a = numbers_of(all.of_a),
                            drawn_from = numbers_of(all.drawn);
  ASSERT_EQ(sums.size(), 3 * n);
  for (std::int64_t r = 0; r < n - 1; ++r) {
    double sum = 0;
    for (const float x : a[static_cast<std::size_t>(r)]) sum += std::exp(static_cast<double>(x));
    EXPECT_NEAR(of_a[static_cast<std::size_t>(r)], std::log(sum), 2e-6);
    EXPECT_NEAR(drawn_from[static_cast<std::size_t>(r)], log_sum(r, 0, V), 2e-6);
  }
  EXPECT_EQ(drawn_from.back(), -inf);
  EXPECT_EQ(numbers_of(kernels->sum({rows.a, rows.b, beta, false}).drawn), of_a);
  for (std::int64_t r = 0; r < n; ++r)
    for (std::int64_t block = 0; block < 3; ++block) {
      const double wanted = log_sum(r, block * score_block, std::min(V, (block + 1) * score_block));
      const double got = sums[static_cast<std::size_t>(3 * r + block)];
      if (wanted == -inf)
        EXPECT_EQ(got, -inf);
      else
        EXPECT_NEAR(got, wanted, 2e-6);
    }
}

TEST_P(TensorVocabulary, DrawsAreByInversion) {
  const at::Tensor blocks = kernels->sum(rows).blocks;
  std::vector<double> totals;
  for (std::int64_t r = 0; r < n; ++r) totals.push_back(log_sum(r, 0, V));
  std::vector<std::int64_t> row_of;
  std::vector<double> u;
  Philox random(4, Stream::test, 0, 0);
  for (int i = 0; i < 2000; ++i) {
    row_of.push_back(static_cast<std::int64_t>(random.below(n)));
    u.push_back(random.uniform());
  }
  const at::Device place = engine->device();
  std::vector<std::int64_t> forced(u.size(), -1);
  forced[7] = 3;
  row_of[7] = 0;
  const std::vector<double> all =
      numbers_of(kernels->draw(rows, blocks, to_device(std::span<const double>(totals), place),
                               {to_device(row_of, place), to_device(u, place), to_device(forced, place)}));
  ASSERT_EQ(all.size(), 3 * u.size());
  const auto got = std::span(all).first(u.size()), at_a = std::span(all).subspan(u.size(), u.size()),
             at_b = std::span(all).last(u.size());
  EXPECT_EQ(got[7], 3);
  int n_different = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const auto token = static_cast<std::int64_t>(got[i]);
    if (row_of[i] == n - 1) {
      EXPECT_EQ(token, 0);
      continue;
    }
    ASSERT_TRUE(token >= 0 && token < V);
    const auto r = static_cast<std::size_t>(row_of[i]), c = static_cast<std::size_t>(token);
    EXPECT_EQ(at_a[i], static_cast<double>(a[r][c]));
    EXPECT_EQ(at_b[i], static_cast<double>(b[r][c]));
    n_different += i != 7 && token != drawn(row_of[i], u[i]) ? 1 : 0;
  }
  EXPECT_LE(n_different, 2);  // where u lies within rounding of a boundary
}

TEST_P(TensorVocabulary, ATotalThatRoundsBelowUGivesTheLastTokenWithAWeight) {
  const ScoreRows of_a{rows.a, {}, 1, false};
  const std::vector<double> total{100, 100, 100, 100, 100};  // far above, so that no sum reaches u
  const std::vector<std::int64_t> row{1};
  const std::vector<double> u{0.999};
  const at::Device place = engine->device();
  const std::vector<double> drawn = numbers_of(
      kernels->draw(of_a, kernels->sum(of_a).blocks, to_device(std::span<const double>(total), place),
                    {to_device(row, place), to_device(u, place), {}}));
  EXPECT_EQ(drawn.front(), V - 1);
}

TEST_P(TensorVocabulary, ANaNIsSeenInTheSums) {
  rows.a.select(0, 2).select(0, 300).fill_(std::nan(""));
  const std::vector<double> sums = numbers_of(kernels->sum(rows).blocks);
  EXPECT_TRUE(std::isnan(sums[3 * 2 + 1]));
  EXPECT_FALSE(std::isnan(sums[3 * 2]));
}

INSTANTIATE_TEST_SUITE_P(Engines, TensorVocabulary, test::every_tensor_engine,
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace twistor::device
