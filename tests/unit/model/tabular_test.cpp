// SPDX-License-Identifier: Apache-2.0
// Tabular models: rows, row indices, the cache, and agreement of every way to the same prefix.
#include "twistor/model/tabular.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <vector>

#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"

namespace twistor::model {
namespace {

using Tokens = std::vector<std::int64_t>;

TEST(TabularModel, RowsAreNormalisedAndDifferByPrefixAndSeed) {
  const auto lm = TabularModel::random(5, 6, 7);
  for (const Tokens& prefix : {Tokens{}, Tokens{0}, Tokens{4, 4}, Tokens{1, 2, 3, 0, 4}}) {
    const auto row = lm.log_probs(prefix);
    ASSERT_EQ(row.size(), 5U);
    EXPECT_NEAR(log_sum_exp(row), 0, 1e-14);
  }
  EXPECT_NE(lm.log_probs(Tokens{0}), lm.log_probs(Tokens{0, 0}));
  EXPECT_NE(lm.log_probs(Tokens{0, 1}), lm.log_probs(Tokens{1, 0}));
  EXPECT_NE(lm.log_probs(Tokens{0}), TabularModel::random(5, 6, 8).log_probs(Tokens{0}));
  EXPECT_EQ(lm.log_probs(Tokens{3, 1}), TabularModel::random(5, 6, 7).log_probs(Tokens{3, 1}));
}

// Dirichlet(a, ..., a) has E[p_v] = 1/V and Var[p_v] = (V - 1) / (V^2 (V a + 1)). Over 4^6 rows with V = 4
// the standard error of the mean of p_0 is sd/64: 5 of them are exceeded by chance once in 1.7 million. The
// variance estimate has a relative standard error of at most 0.025 (kurtosis below 3.6), so 0.15 is at least
// 6 of them.
TEST(TabularModel, RandomRowsAreDirichlet) {
  for (const double a : {0.3, 2.0}) {
    const auto lm = TabularModel::random(4, 6, 11, a);
    double sum = 0;
    double squares = 0;
    for (std::int64_t i = 0; i < 4096; ++i) {
      Tokens prefix(6);
      for (int d = 0; d < 6; ++d) prefix[static_cast<std::size_t>(d)] = (i >> (2 * d)) & 3;
      const double p = std::exp(lm.log_probs(prefix)[0]);
      sum += p;
      squares += p * p;
    }
    const double mean = sum / 4096;
    const double variance = squares / 4096 - mean * mean;
    const double expected = 3.0 / (16 * (4 * a + 1));
    EXPECT_NEAR(mean, 0.25, 5 * std::sqrt(expected) / 64) << "concentration " << a;
    EXPECT_NEAR(variance / expected, 1.0, 0.15) << "concentration " << a;
  }
}

TEST(TabularModel, RowIndexEncodesPrefixAndLength) {
  const auto lm = TabularModel::random(3, 5, 1);
  std::map<double, Tokens> seen;
  for (std::int64_t length = 0; length <= 5; ++length) {
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(std::pow(3, length)); ++i) {
      Tokens prefix;
      for (std::int64_t d = 0, rest = i; d < length; ++d, rest /= 3) prefix.push_back(rest % 3);
      const double row = lm.row_index_of(prefix);
      EXPECT_TRUE(seen.emplace(row, prefix).second) << "row " << row << " stands for two prefixes";
      EXPECT_EQ(lm.prefix_of(row), prefix);
    }
  }
  EXPECT_EQ(lm.row_index_of(Tokens{}), 0);
  EXPECT_THROW((void)lm.prefix_of(0.5), Error);
  EXPECT_THROW((void)lm.prefix_of(-1), Error);
  EXPECT_THROW((void)lm.prefix_of(4), Error) << "digits 1 0: a token after no token";
  EXPECT_THROW((void)lm.prefix_of(1365), Error) << "1 + 4 + ... + 4^5: six tokens";
}

TEST(TabularModel, ForwardInPiecesEqualsForwardAtOnce) {
  const auto lm = TabularModel::random(4, 6, 3);
  const Tokens tokens = {0, 1, 2, 3, 3, 2, 1, 0};  // two sequences of four
  auto whole = lm.make_cache(2);
  const auto hidden = lm.forward(tokens, *whole);
  ASSERT_EQ(hidden.sizes(), (at::IntArrayRef{2, 4, 1}));
  EXPECT_EQ(hidden[1][2][0].item<double>(), lm.row_index_of(Tokens{3, 2, 1}));

  auto pieces = lm.make_cache(2);
  (void)lm.forward(Tokens{0, 1, 3, 2}, *pieces);
  const auto last = lm.forward(Tokens{2, 3, 1, 0}, *pieces);
  EXPECT_TRUE(at::equal(last, hidden.narrow(1, 2, 2)));
  EXPECT_EQ(pieces->length(), 4);
}

TEST(TabularModel, LogitsOfColumnsAreTheRow) {
  const auto lm = TabularModel::random(5, 4, 3);
  const auto hidden = at::full({2, 1}, lm.row_index_of(Tokens{4, 0, 2}), at::kDouble);
  at::Tensor out = at::zeros({2, 6}, at::kDouble);
  at::Tensor part = out.narrow(1, 1, 2);  // strided on purpose
  lm.logits(hidden, 3, 5, part);
  const auto row = lm.log_probs(Tokens{4, 0, 2});
  EXPECT_EQ(out[1][1].item<double>(), row[3]);
  EXPECT_EQ(out[1][2].item<double>(), row[4]);
  EXPECT_EQ(out[1][3].item<double>(), 0);
}

TEST(TabularModel, Order1ReadsThePreviousToken) {
  const auto lm = TabularModel::order1(2, 8, {std::log(0.9), std::log(0.1), 0.0, log_zero});
  EXPECT_NEAR(std::exp(lm.log_probs(Tokens{1, 0})[1]), 0.1, 1e-15);
  EXPECT_EQ(lm.log_probs(Tokens{0, 1})[1], log_zero);
  EXPECT_NEAR(lm.log_probs(Tokens{})[0], -std::log(2), 1e-15);
  EXPECT_NE(lm.fingerprint(), TabularModel::order1(2, 8, {0.0, 0.0, 0.0, 0.0}).fingerprint());
}

TEST(TabularCache, SelectAndForkKeepPrefixesApart) {
  const auto lm = TabularModel::random(4, 6, 3);
  auto cache = lm.make_cache(3);
  (void)lm.forward(Tokens{0, 1, 2}, *cache);
  const auto copy = cache->fork();
  cache->select(Tokens{2, 2, 0, 1});
  const auto hidden = lm.forward(Tokens{3, 1, 3, 1}, *cache);
  EXPECT_EQ(hidden[0][0][0].item<double>(), lm.row_index_of(Tokens{2, 3}));
  EXPECT_EQ(hidden[1][0][0].item<double>(), lm.row_index_of(Tokens{2, 1}));
  EXPECT_EQ(hidden[2][0][0].item<double>(), lm.row_index_of(Tokens{0, 3}));
  EXPECT_EQ(copy->n_sequences(), 3);
  EXPECT_EQ(copy->length(), 1);
  EXPECT_THROW(cache->select(Tokens{4}), Error);
  EXPECT_THROW(cache->select(Tokens{-1}), Error);
}

TEST(TabularCache, ExportAndImportWithSharedBlocks) {
  const auto lm = TabularModel::random(3, 20, 3);
  Tokens left(18);
  Tokens right(18);
  for (std::size_t i = 0; i < 18; ++i) {
    left[i] = static_cast<std::int64_t>(i % 3);
    right[i] = i < 16 ? left[i] : 2 - left[i];
  }
  auto sender = lm.make_cache(1);
  (void)lm.forward(right, *sender);
  auto receiver = lm.make_cache(1);
  (void)lm.forward(left, *receiver);

  const auto tail = sender->export_sequence(0, 1);
  EXPECT_EQ(tail.size(), 2 * sizeof(std::int64_t));
  EXPECT_EQ(receiver->import_sequence(Tokens{0}, 1, tail), 1);
  EXPECT_EQ(receiver->import_sequence({}, 0, sender->export_sequence(0, 0)), 2);
  const auto hidden = lm.forward(Tokens{1, 1, 1}, *receiver);
  right.push_back(1);
  EXPECT_EQ(hidden[1][0][0].item<double>(), lm.row_index_of(right));
  EXPECT_EQ(hidden[2][0][0].item<double>(), lm.row_index_of(right));

  auto empty = lm.make_cache(0);
  EXPECT_EQ(empty->import_sequence({}, 0, sender->export_sequence(0, 0)), 0);
  EXPECT_EQ(empty->length(), 18);
}

TEST(TabularCache, ImportRefusesWhatDoesNotFit) {
  const auto lm = TabularModel::random(3, 20, 3);
  auto cache = lm.make_cache(1);
  (void)lm.forward(Tokens{0, 1}, *cache);
  auto bytes = cache->export_sequence(0, 0);
  EXPECT_THROW(cache->import_sequence({}, 0, std::span(bytes).first(8)), Error) << "one token of two";
  EXPECT_THROW(cache->import_sequence({}, 0, std::span(bytes).first(9)), Error) << "half a token";
  EXPECT_THROW(cache->import_sequence(Tokens{0}, 0, bytes), Error) << "a donor too many";
  EXPECT_THROW(cache->import_sequence(Tokens{5}, 1, {}), Error) << "no such donor";
  const std::int64_t bad = 3;
  std::memcpy(bytes.data(), &bad, sizeof bad);
  EXPECT_THROW(cache->import_sequence({}, 0, bytes), Error) << "token out of the vocabulary";
  EXPECT_EQ(cache->n_sequences(), 1) << "a refused import leaves the cache as it was";
}

TEST(TabularModel, RefusesBadTokensAndLongContexts) {
  const auto lm = TabularModel::random(3, 2, 3);
  auto cache = lm.make_cache(2);
  EXPECT_THROW(lm.forward(Tokens{0, 3}, *cache), Error);
  EXPECT_THROW(lm.forward(Tokens{0, -1}, *cache), Error);
  EXPECT_THROW(lm.forward(Tokens{0, 1, 2}, *cache), Error);
  EXPECT_THROW(lm.forward(Tokens(6, 0), *cache), Error) << "three tokens in a context of two";
  EXPECT_EQ(cache->length(), 0);
  EXPECT_THROW(TabularModel::random(1000, 6, 1), Error) << "row indices would not be exact";
  EXPECT_THROW(TabularModel::random(0, 6, 1), Error);
  EXPECT_THROW(TabularModel::random(3, 2, 1, 0.0), Error);
  EXPECT_THROW(TabularModel::order1(2, 2, {0.0}), Error);
  const auto dead = TabularModel::order1(1, 4, {log_zero});
  EXPECT_THROW((void)dead.log_probs(Tokens{0}), Error) << "a row without probability";
}

}  // namespace
}  // namespace twistor::model
