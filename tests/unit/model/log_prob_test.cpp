// SPDX-License-Identifier: Apache-2.0
// Normalising logits by tiles: against plain sums, and the same bits for a row in any company.
#include "twistor/model/log_prob.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/model/vocabulary.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/model/tabular.hpp"

namespace twistor::model {
namespace {

using Tokens = std::vector<std::int64_t>;

/// A float32 model whose vocabulary takes three tiles; the hidden state is the last token.
class WideModel final : public LanguageModel {
 public:
  float special = 0;  // logit of token 5000, to plant infinities and NaN

  std::int64_t vocab_size() const override { return 9001; }
  std::int64_t hidden_size() const override { return 1; }
  std::int64_t context_length() const override { return 3; }
  at::ScalarType hidden_dtype() const override { return at::kFloat; }
  std::string fingerprint() const override { return "wide"; }
  std::string description() const override { return "wide"; }
  std::unique_ptr<Cache> make_cache(std::int64_t n) const override {
    return std::make_unique<TabularCache>(vocab_size(), context_length(), n);
  }
  at::Tensor forward(std::span<const std::int64_t> tokens, Cache& cache) const override {
    (void)dynamic_cast<TabularCache&>(cache).append(tokens);
    const std::int64_t n = cache.n_sequences();
    at::Tensor hidden = at::empty({n, static_cast<std::int64_t>(tokens.size()) / n, 1}, at::kFloat);
    for (std::size_t i = 0; i < tokens.size(); ++i)
      hidden.data_ptr<float>()[i] = static_cast<float>(tokens[i]);
    return hidden;
  }
  float logit(std::int64_t last, std::int64_t v) const {
    if (v == 5000) return special;
    return 6 * std::sin(static_cast<float>(v) * 0.37F + static_cast<float>(last)) - 100;
  }
  void logits(const at::Tensor& hidden, std::int64_t begin, std::int64_t end,
              at::Tensor& out) const override {
    EXPECT_LE((end - begin) * hidden.size(0), row_chunk * vocabulary_tile)
        << "more logits at a time than promised";
    auto result = out.accessor<float, 2>();
    for (std::int64_t i = 0; i < hidden.size(0); ++i) {
      const auto last = static_cast<std::int64_t>(hidden[i][0].item<float>());
      for (std::int64_t v = begin; v < end; ++v) result[i][v - begin] = logit(last, v);
    }
  }
  double log_prob(std::int64_t last, std::int64_t token) const {
    std::vector<double> row;
    for (std::int64_t v = 0; v < vocab_size(); ++v) row.push_back(logit(last, v));
    return logit(last, token) - log_sum_exp(row);
  }
};

at::Tensor column(const std::vector<float>& x) {
  return at::tensor(at::ArrayRef<float>(x)).reshape({static_cast<std::int64_t>(x.size()), 1});
}

TEST(LogProb, TiledSumsAgreeWithPlainOnes) {
  WideModel lm;
  lm.special = -99;
  const Tokens tokens = {0, 4095, 4096, 8191, 8192, 9000, 5000};
  const auto hidden = column({1, 2, 3, 4, 5, 6, 7});
  const auto log_p = log_prob_of_tokens(lm, hidden, tokens);
  const auto rows = log_prob_rows(lm, hidden);
  ASSERT_EQ(log_p.size(), tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    // Lanes add in float32 within 512 columns: about 1e-7 relative.
    EXPECT_NEAR(log_p[i], lm.log_prob(static_cast<std::int64_t>(i) + 1, tokens[i]), 2e-7);
    EXPECT_EQ(log_p[i], rows[i * 9001 + static_cast<std::size_t>(tokens[i])])
        << "two ways to one number differ in bits";
  }
}

TEST(LogProb, ARowIsTheSameInAnyBatch) {
  const WideModel lm;
  std::vector<float> last(300);  // more than one chunk of rows in scoring and in drawing
  Tokens tokens(300);
  std::vector<double> u(300);
  for (std::size_t i = 0; i < 300; ++i) {
    last[i] = static_cast<float>(i % 17);
    tokens[i] = static_cast<std::int64_t>(i * 29);
    u[i] = (static_cast<double>(i) + 0.5) / 300;
  }
  const auto together = log_prob_of_tokens(lm, column(last), tokens);
  const auto draws = draw_tokens(lm, column(last), u);
  for (const std::size_t i : {0UL, 63UL, 64UL, 255UL, 256UL, 299UL}) {
    const auto alone = column({last[i]});
    EXPECT_EQ(log_prob_of_tokens(lm, alone, {&tokens[i], 1}).front(), together[i]);
    const auto draw = draw_tokens(lm, alone, {&u[i], 1});
    EXPECT_EQ(draw.tokens.front(), draws.tokens[i]);
    EXPECT_EQ(draw.log_p.front(), draws.log_p[i]);
    EXPECT_EQ(log_prob_of_tokens(lm, alone, draw.tokens).front(), draws.log_p[i]) << "drawn and scored alike";
  }
}

TEST(LogProb, ASharedRowServesAllDraws) {
  const auto lm = TabularModel::random(5, 4, 3);
  const auto one = at::full({1, 1}, lm.row_index_of(Tokens{2}), at::kDouble);
  const std::vector<double> u = {0.05, 0.5, 0.95};
  const auto shared = draw_tokens(lm, one, u);
  const auto apart = draw_tokens(lm, one.expand({3, 1}).contiguous(), u);
  EXPECT_EQ(shared.tokens, apart.tokens);
  EXPECT_EQ(shared.log_p, apart.log_p);
}

TEST(LogProb, DrawTokenInvertsTheDistribution) {
  const std::vector<double> logits = {log_zero,      std::log(0.25), log_zero,
                                      std::log(0.5), std::log(0.25), log_zero};
  const std::span<const double> row(logits);
  EXPECT_EQ(draw_token(row, 0.0, 1e-17), 1);
  EXPECT_EQ(draw_token(row, 0.0, 0.2499), 1);
  EXPECT_EQ(draw_token(row, 0.0, 0.2501), 3);
  EXPECT_EQ(draw_token(row, 0.0, 0.7499), 3);
  EXPECT_EQ(draw_token(row, 0.0, 0.7501), 4);
  EXPECT_EQ(draw_token(row, 1e-9, 1 - 1e-16), 4) << "a sum that rounds below u still gives a possible token";
  const std::vector<float> single = {3.0F};
  EXPECT_EQ(draw_token(std::span<const float>(single), 3.0, 0.5), 0);
}

TEST(LogProb, ImpossibleTokensAreLegalBrokenRowsAreNot) {
  WideModel lm;
  const Tokens token = {5000};
  lm.special = -std::numeric_limits<float>::infinity();
  EXPECT_EQ(log_prob_of_tokens(lm, column({1}), token).front(), log_zero);
  for (const float broken :
       {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    lm.special = broken;
    EXPECT_THROW((void)log_prob_of_tokens(lm, column({1}), token), Error) << broken;
    EXPECT_THROW((void)log_prob_rows(lm, column({1})), Error) << broken;
  }
}

TEST(Vocabulary, FloatRowsAgreeWithFloat64WhateverTheTail) {
  Philox random(3, Stream::test, 0, 0);
  for (const std::size_t n : {1U, 15U, 16U, 17U, 511U, 513U, 5000U}) {
    std::vector<float> row(n);
    for (float& x : row) x = static_cast<float>(30 * random.normal());
    row[n / 2] = -std::numeric_limits<float>::infinity();
    if (n == 1) row[0] = -80;
    const std::vector<double> exact(row.begin(), row.end());
    EXPECT_NEAR(row_log_sum_exp(std::span<const float>(row)), log_sum_exp(exact), 1e-6) << n;
  }
}

TEST(Vocabulary, DrawsFollowTheRow) {
  // Quantiles of float rows against a plain float64 walk: they may part only where u falls on a boundary
  // (1e-6 wide).
  Philox random(4, Stream::test, 0, 0);
  std::vector<float> row(2000);
  for (float& x : row) x = static_cast<float>(3 * random.normal());
  const double log_total = row_log_sum_exp(std::span<const float>(row));
  const std::vector<double> exact(row.begin(), row.end());
  int n_apart = 0;
  for (int i = 0; i < 5000; ++i) {
    const double u = random.uniform();
    n_apart += draw_token(std::span<const float>(row), log_total, u) !=
               draw_token(std::span<const double>(exact), log_total, u);
  }
  EXPECT_LE(n_apart, 10);
}

TEST(Score, IsTheChainOfConditionals) {
  const auto lm = TabularModel::random(4, 6, 3);
  const Tokens tokens = {3, 0, 2, 1};
  const auto log_p = score(lm, tokens);
  ASSERT_EQ(log_p.size(), 3U);
  EXPECT_NEAR(log_p[0], lm.log_probs(Tokens{3})[0], 1e-15);
  EXPECT_NEAR(log_p[1], lm.log_probs(Tokens{3, 0})[2], 1e-15);
  EXPECT_NEAR(log_p[2], lm.log_probs(Tokens{3, 0, 2})[1], 1e-15);
  EXPECT_TRUE(score(lm, Tokens{1}).empty());
  EXPECT_THROW((void)score(lm, Tokens{}), Error);
  EXPECT_THROW((void)score(lm, Tokens{1, 4}), Error);
  EXPECT_THROW((void)score(lm, Tokens{-1, 0}), Error);
}

TEST(Vocabulary, BlocksJoinToTheRowAndDrawsByBlockFollowItsLaw) {
  std::vector<float> row(1000);
  for (std::size_t v = 0; v < row.size(); ++v) row[v] = 3 * std::sin(static_cast<float>(v) * 0.7F);
  for (std::size_t v = 256; v < 512; ++v)
    row[v] = -std::numeric_limits<float>::infinity();  // a block without weight
  std::vector<double> blocks(static_cast<std::size_t>(n_vocabulary_blocks(1000)));
  ASSERT_EQ(blocks.size(), 4u);
  block_log_sums(std::span<const float>(row), blocks);
  const double log_total = log_sum_exp(blocks);
  EXPECT_NEAR(log_total, row_log_sum_exp(std::span<const float>(row)), 1e-6);
  EXPECT_EQ(blocks[1], log_zero);
  // The same quantile gives the same token by either way, but for those that lie on a border.
  std::int64_t n_apart = 0;
  for (int i = 0; i < 4000; ++i) {
    const double u = (i + 0.5) / 4000;
    const BlockDraw draw = draw_block(blocks, log_total, u);
    const auto begin = static_cast<std::size_t>(draw.block * vocabulary_block);
    const auto part =
        std::span<const float>(row).subspan(begin, std::min<std::size_t>(256, row.size() - begin));
    const std::int64_t token = static_cast<std::int64_t>(begin) +
                               draw_token(part, blocks[static_cast<std::size_t>(draw.block)], draw.u);
    n_apart += token != draw_token(std::span<const float>(row), log_total, u);
  }
  EXPECT_LE(n_apart, 4);
  EXPECT_EQ(draw_block(blocks, log_total, 1 - 1e-16).block, 3) << "the last block that has weight";
}

TEST(Draw, APreparedRowDrawsTheSameTokens) {
  Philox random(7, Stream::test, 0, 0);
  std::vector<float> row(256);
  for (float& x : row) x = static_cast<float>(3 * random.normal());
  row[0] = row[17] = row[255] = -std::numeric_limits<float>::infinity();
  const double log_total = row_log_sum_exp(std::span<const float>(row));
  const std::vector<double> exact(row.begin(), row.end());
  const TokenCdf floats(std::span<const float>(row), log_total),
      doubles(std::span<const double>(exact), log_total);
  std::vector<double> quantiles{1e-300, 1e-17, 0.5, 1 - 1e-16, 1.0};
  for (int i = 0; i < 20000; ++i) quantiles.push_back(random.uniform());
  for (const double u : quantiles) {
    EXPECT_EQ(floats.draw(u), draw_token(std::span<const float>(row), log_total, u)) << u;
    EXPECT_EQ(doubles.draw(u), draw_token(std::span<const double>(exact), log_total, u)) << u;
  }
  EXPECT_EQ(doubles.draw(1.0), 254) << "the last token that can be drawn";
  EXPECT_EQ(doubles.below(0), 0.0);
  EXPECT_NEAR(doubles.below(256), 1.0, 1e-6);  // log_total was summed in float32
}

}  // namespace
}  // namespace twistor::model
