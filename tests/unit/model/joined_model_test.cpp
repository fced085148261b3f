// SPDX-License-Identifier: Apache-2.0
// Joined models: the members' own bits side by side, and a cache that keeps them in step.
#include "twistor/model/joined_model.hpp"

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <utility>

#include "support/decoder_golden.hpp"
#include "twistor/base/error.hpp"
#include "twistor/model/absorbing.hpp"
#include "twistor/model/load.hpp"
#include "twistor/model/tabular.hpp"

namespace twistor::model {
namespace {

using Tokens = std::vector<std::int64_t>;
using Members = std::vector<std::shared_ptr<const LanguageModel>>;

std::shared_ptr<const LanguageModel> tabular(std::uint64_t seed, std::int64_t V = 5,
                                             std::int64_t length = 7) {
  return std::make_shared<TabularModel>(TabularModel::random(V, length, seed));
}
std::shared_ptr<const LanguageModel> golden(const char* name) {
  return load_language_model(test::golden_folder / name);
}

class Joined : public testing::TestWithParam<std::pair<const char*, const char*>> {
 protected:
  /// Names of golden models, or tabular ones.
  static std::shared_ptr<const LanguageModel> load(const char* name, std::uint64_t seed) {
    return *name == '\0' ? tabular(seed, 5, 20) : golden(name);
  }
  std::shared_ptr<const LanguageModel> first = load(GetParam().first, 1), second = load(GetParam().second, 2);
  JoinedModel lm{{first, second}};

  /// Whether a row of joined hidden states consists of the members' own after these tokens.
  void expect_own_hidden(const at::Tensor& row, const Tokens& text) const {
    for (std::size_t m = 0; m < 2; ++m) {
      const LanguageModel& member = m == 0 ? *first : *second;
      const auto cache = member.make_cache(1);
      const at::Tensor own = member.forward(text, *cache)[0][static_cast<std::int64_t>(text.size()) - 1];
      EXPECT_TRUE(test::same_bits(row.narrow(0, lm.columns(m).begin, lm.columns(m).size), own))
          << "member " << m;
    }
  }
};

TEST_P(Joined, HiddenStatesStandSideBySideAndLogitsAreTheFirstMembers) {
  const Tokens tokens{0, 1, 2, 3, 4, 1, 1, 0};  // two sequences
  const auto cache = lm.make_cache(2), own = first->make_cache(2);
  const at::Tensor hidden = lm.forward(tokens, *cache), of_first = first->forward(tokens, *own);
  ASSERT_EQ(hidden.size(2), lm.hidden_size());
  ASSERT_EQ(lm.hidden_size(), first->hidden_size() + second->hidden_size());
  EXPECT_EQ(lm.feature_size(), first->hidden_size());
  for (std::int64_t t = 0; t < 4; ++t) {
    expect_own_hidden(hidden[0][t], {tokens.begin(), tokens.begin() + t + 1});
    expect_own_hidden(hidden[1][t], {tokens.begin() + 4, tokens.begin() + 4 + t + 1});
  }
  EXPECT_TRUE(test::same_bits(test::all_logits(lm, hidden), test::all_logits(*first, of_first)));
  EXPECT_EQ(score(lm, tokens), score(*first, tokens));
}

TEST_P(Joined, CachesForkSelectAndTravelTogether) {
  Tokens text;
  for (std::int64_t i = 0; i < 17; ++i) text.push_back(i * 3 % 5);  // one whole block and one begun
  const auto sender = lm.make_cache(1);
  (void)lm.forward(text, *sender);
  const auto fork = sender->fork();
  fork->select(Tokens{0, 0});
  const at::Tensor two = lm.forward(Tokens{1, 2}, *fork);
  Tokens one = text, other = text;
  one.push_back(1);
  other.push_back(2);
  expect_own_hidden(two[0][0], one);
  expect_own_hidden(two[1][0], other);

  // A peer that holds the first block of the same text receives the rest.
  const auto receiver = lm.make_cache(1);
  (void)lm.forward(text, *receiver);
  const std::vector<std::byte> bytes = fork->export_sequence(1, 1);
  (void)lm.forward(Tokens{3}, *receiver);
  const std::int64_t index = receiver->import_sequence(Tokens{0}, 1, bytes);
  EXPECT_EQ(receiver->n_sequences(), 2);
  receiver->select(Tokens{index});
  other.push_back(4);
  expect_own_hidden(lm.forward(Tokens{4}, *receiver)[0][0], other);
}

TEST_P(Joined, DamagedBytesAreRefusedAndLeaveTheCacheAlone) {
  const auto cache = lm.make_cache(1);
  (void)lm.forward(Tokens{0, 1, 2}, *cache);
  const std::vector<std::byte> bytes = cache->export_sequence(0, 0);
  const auto expect_refused = [&](const std::vector<std::byte>& damaged) {
    EXPECT_THROW((void)cache->import_sequence({}, 0, damaged), Error) << damaged.size() << " bytes";
    EXPECT_EQ(cache->n_sequences(), 1);
  };
  for (const std::size_t length : {std::size_t{0}, std::size_t{7}, bytes.size() / 2, bytes.size() - 1})
    expect_refused({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length)});
  std::vector<std::byte> longer = bytes, negative = bytes;
  longer.push_back(std::byte{0});
  negative[7] = std::byte{0x80};
  expect_refused(longer);
  expect_refused(negative);
  EXPECT_EQ(cache->import_sequence({}, 0, bytes), 1);
}

INSTANTIATE_TEST_SUITE_P(Pairs, Joined,
                         testing::Values(std::pair{"", ""}, std::pair{"llama", "gpt2"},
                                         std::pair{"qwen2", "gemma2"}),
                         [](const auto& test) {
                           return *test.param.first == '\0' ? std::string("tabular")
                                                            : std::string(test.param.first);
                         });

TEST(JoinedModel, MembersWithEqualWeightsAreOne) {
  const auto base = tabular(1);
  const JoinedModel lm({base, tabular(1), tabular(2), tabular(1)});
  EXPECT_EQ(lm.n_members(), 4u);
  EXPECT_EQ(lm.n_distinct(), 2u);
  EXPECT_EQ(lm.hidden_size(), 2);
  EXPECT_EQ(lm.columns(1), lm.columns(0));
  EXPECT_EQ(lm.columns(3), lm.columns(0));
  EXPECT_EQ(lm.columns(2), (Columns{1, 1}));
  const JoinedModel alone({base, tabular(1)});
  EXPECT_EQ(alone.fingerprint(), base->fingerprint());
  EXPECT_EQ(alone.hidden_size(), base->hidden_size());
  EXPECT_NE(lm.fingerprint(), base->fingerprint());
  EXPECT_NE(lm.fingerprint(), JoinedModel({tabular(2), base}).fingerprint()) << "the first gives the logits";
}

TEST(JoinedModel, RefusesWhatDoesNotFit) {
  EXPECT_THROW(JoinedModel(Members{}), Error);
  EXPECT_THROW(JoinedModel({tabular(1, 5), tabular(1, 4)}), Error) << "vocabularies";
  const auto decoder = golden("gpt2");
  EXPECT_THROW(JoinedModel({decoder, tabular(1, decoder->vocab_size(), 2)}), Error) << "dtypes";
  EXPECT_THROW(JoinedModel({tabular(1), std::make_shared<AbsorbingModel>(tabular(2), 1, 1)}), Error);
}

TEST(JoinedModel, TheShortestContextCounts) {
  const JoinedModel lm({tabular(1, 5, 7), tabular(1, 5, 3)});
  EXPECT_EQ(lm.context_length(), 3);
  const auto cache = lm.make_cache(1);
  EXPECT_THROW((void)lm.forward(Tokens{0, 0, 0, 0}, *cache), Error);
  EXPECT_EQ(cache->length(), 0);
}

}  // namespace
}  // namespace twistor::model
