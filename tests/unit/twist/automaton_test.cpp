// SPDX-License-Identifier: Apache-2.0
// Computed twists: automata over tokens, n-gram models, and the values that follow from both.
#include "twistor/twist/automaton.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <memory>

#include "support/error_of.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/model/automaton_model.hpp"
#include "twistor/model/tabular.hpp"

namespace twistor::twist {
namespace {

using Tokens = std::vector<std::int64_t>;
constexpr std::int64_t V = 4, T = 4;

/// Whether a pattern occurs, by looking.
bool occurs(const Tokens& text, const std::vector<Tokens>& patterns) {
  for (const Tokens& p : patterns)
    if (std::search(text.begin(), text.end(), p.begin(), p.end()) != text.end()) return true;
  return false;
}

void each_text(std::int64_t length, const std::function<void(const Tokens&)>& visit) {
  Tokens text(static_cast<std::size_t>(length), 0);
  for (;;) {
    visit(text);
    std::size_t at = 0;
    while (at < text.size() && ++text[at] == V) text[at++] = 0;
    if (at == text.size()) return;
  }
}

std::int64_t state_after(const model::TokenAutomaton& a, const Tokens& text) {
  std::int64_t state = a.start;
  for (const std::int64_t token : text) state = a.after(state, token);
  return state;
}

TEST(TokenAutomaton, OfPatternsFindsEveryOccurrence) {
  for (const std::vector<Tokens>& patterns : {std::vector<Tokens>{{0}},
                                              {{0, 1, 0, 2}},
                                              {{1, 1}, {1, 2, 1, 1}},
                                              {{0, 1, 2}, {1}},
                                              {{2, 2, 2}, {3, 2, 2}}}) {
    const model::TokenAutomaton a = model::automaton_of_patterns(patterns, V, -3);
    each_text(6, [&](const Tokens& text) {
      EXPECT_EQ(a.log_final[static_cast<std::size_t>(state_after(a, text))], occurs(text, patterns) ? 0 : -3)
          << testing::PrintToString(text);
    });
  }
}

/// A random n-gram model of order 2 in which everything may follow everything.
model::Ngram random_ngram() {
  Philox random(3, Stream::test, 0, 0);
  model::Ngram out;
  for (std::int64_t v = 0; v < V; ++v) out.unigram.push_back(1.0 / static_cast<double>(V));
  for (std::int64_t u = 0; u < V; ++u) {
    std::vector<double> row;
    double sum = 0;
    for (std::int64_t v = 0; v < V; ++v) sum += row.emplace_back(random.uniform());
    for (std::int64_t v = 0; v < V; ++v)
      out.followers.push_back({static_cast<std::int32_t>(v), 0.7 * row[static_cast<std::size_t>(v)] / sum});
    out.contexts.push_back(u);
    out.begin.push_back(out.followers.size());
    out.backoff.push_back(0.3);
  }
  return out;
}

TEST(AutomatonValues, AreTheExpectationsOfPhi) {
  const model::Ngram ngram = random_ngram();
  const auto a = std::make_shared<model::TokenAutomaton>(
      model::automaton_of_patterns(std::vector<Tokens>{{0, 1}, {2, 2, 3}}, V, log_zero));
  a->log_weight = {0.1, -0.4, 0, 0.3};
  a->log_last = {0, 0.5, -0.2, 0};
  const AutomatonValues values(a, ngram, {}, T);
  double log_z = log_zero;
  each_text(T, [&](const Tokens& text) {
    double log_p = 0, log_phi = a->log_final[static_cast<std::size_t>(state_after(*a, text))];
    std::int64_t before = 1;
    for (const std::int64_t token : text) {
      log_p += std::log(ngram.row(before)[static_cast<std::size_t>(token)]);
      log_phi += a->log_weight_of(token);
      before = token;
    }
    log_phi += a->log_last[static_cast<std::size_t>(text.back())];
    log_z = log_add_exp(log_z, log_p + log_phi);
  });
  EXPECT_NEAR(values.log_z(ngram, 1), log_z, 1e-12);
  // One step of the recursion, at every place.
  for (std::int64_t state = 0; state < a->n_states; ++state)
    for (std::int64_t token = 0; token < V; ++token)
      for (std::int64_t n_left = 1; n_left < T; ++n_left) {
        std::vector<double> terms;
        const std::vector<double> p = ngram.row(token);
        for (std::int64_t v = 0; v < V; ++v)
          terms.push_back(std::log(p[static_cast<std::size_t>(v)]) +
                          values.log_value(a->after(state, token), v, n_left - 1));
        const double expected = a->log_weight_of(token) + log_sum_exp(terms);
        if (expected == log_zero)
          EXPECT_EQ(values.log_value(state, token, n_left), log_zero);
        else
          EXPECT_NEAR(values.log_value(state, token, n_left), expected, 1e-12);
      }
}

TEST(AutomatonValues, ATextThatEndsKeepsItsValue) {
  const auto a = std::make_shared<model::TokenAutomaton>(
      model::automaton_of_patterns(std::vector<Tokens>{{0, 1}}, V, log_zero));
  const AutomatonValues values(a, random_ngram(), model::EndRule(3), T);
  const std::int64_t matched = state_after(*a, {0, 1});
  EXPECT_EQ(values.log_value(a->start, 3, 2), log_zero);
  EXPECT_EQ(values.log_value(matched, 3, 2), 0);
}

TEST(AutomatonValues, NothingIsWorthlessWhereTheAutomatonMayErr) {
  auto a = std::make_shared<model::TokenAutomaton>(
      model::automaton_of_patterns(std::vector<Tokens>{{0, 1}}, V, log_zero));
  a->is_exact = false;
  const AutomatonValues values(a, random_ngram(), {}, T);
  EXPECT_EQ(values.log_value(a->start, 3, 0), -60);
}

TEST(AutomatonValues, RefusesATargetThatNoTextReaches) {
  const auto a = std::make_shared<model::TokenAutomaton>(
      model::automaton_of_patterns(std::vector<Tokens>{{0, 1, 0, 1, 0}}, V, log_zero));
  EXPECT_THAT(test::error_of([&] { AutomatonValues(a, random_ngram(), {}, T); }).what(),
              testing::HasSubstr("phi is 0 for every text of 4 tokens"));
}

TEST(Ngram, CountsPairsAndBacksOff) {
  const std::vector<double> unigram{0.1, 0.2, 0.3, 0.4};
  // Two texts after token 2, of which one ends (with 3).
  const Tokens tokens{0, 1, 0, 1, 3, 3};
  const model::Ngram ngram = model::fit_ngram(tokens, 3, 2, unigram, model::EndRule(3), 2);
  EXPECT_THAT(ngram.contexts, testing::ElementsAre(0, 1, 2, 3));
  // After 2: 0 and 1, once each. Witten and Bell: (c + 2 p) / (2 + 2).
  EXPECT_THAT(ngram.row(2), testing::Pointwise(testing::DoubleNear(1e-15), {0.3, 0.35, 0.15, 0.2}));
  EXPECT_THAT(ngram.row(3), testing::ElementsAre(0, 0, 0, 1)) << "the end follows the end";
  const model::Ngram order1 = model::fit_ngram(tokens, 3, 2, unigram, {}, 1);
  EXPECT_TRUE(order1.contexts.empty());
  EXPECT_EQ(order1.row(0), unigram);
}

TEST(AutomatonModel, WalksAlongWithTheTextAndItsCache) {
  const auto a = std::make_shared<model::TokenAutomaton>(
      model::automaton_of_patterns(std::vector<Tokens>{{0, 1}}, V, log_zero));
  a->log_weight = {0.5, 0, 0.25, 0};
  const model::TabularModel lm = model::TabularModel::random(V, 8, 1);
  const model::AutomatonModel walker(a, lm, 2);
  auto cache = walker.make_cache(1);
  const auto row = [](const at::Tensor& hidden, std::int64_t sequence) {
    const at::Tensor last = hidden[sequence][hidden.size(1) - 1].contiguous();
    return std::vector<double>(last.const_data_ptr<double>(), last.const_data_ptr<double>() + 3);
  };
  const Tokens prompt{0, 1};
  EXPECT_THAT(row(walker.forward(prompt, *cache), 0), testing::ElementsAre(a->start, 0, 0))
      << "the prompt does not count";
  cache->select(Tokens{0, 0});
  const at::Tensor hidden = walker.forward(Tokens{0, 2}, *cache);
  EXPECT_THAT(row(hidden, 0), testing::ElementsAre(a->after(a->start, 0), 1, 0.5));
  EXPECT_THAT(row(hidden, 1), testing::ElementsAre(a->after(a->start, 2), 1, 0.25));
  // What travels to another rank goes on there as here.
  auto other = walker.make_cache(0);
  (void)other->import_sequence({}, 0, cache->export_sequence(0, 0));
  EXPECT_EQ(other->length(), 3);
  EXPECT_THAT(row(walker.forward(Tokens{1}, *other), 0), testing::ElementsAre(a->n_states - 1, 2, 0.5));
  EXPECT_EQ(test::error_of([&] { (void)other->import_sequence({}, 0, {}); }).kind(), ErrorKind::data);
}

}  // namespace
}  // namespace twistor::twist
