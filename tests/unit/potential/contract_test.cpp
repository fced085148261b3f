// SPDX-License-Identifier: Apache-2.0
// What every registered potential must obey, whatever it is; and the wrapper that enforces it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>
#include <map>

#include "support/temporary_folder.hpp"
#include "twistor/base/error.hpp"
#include "twistor/potential/checked_potential.hpp"
#include "twistor/potential/registry.hpp"
#include "unit/potential/brute_force.hpp"
#include "unit/potential/random_arrays.hpp"

namespace twistor::potential {
namespace {

constexpr std::int64_t V = 4;
constexpr std::int64_t T = 3;

const std::filesystem::path encoder_goldens =
    std::filesystem::path(TWISTOR_SOURCE_DIR) / "tests/golden/encoders";
const ToyTokenizer tokenizer({"?", "a", "bc", " "});

/// A file that lives as long as the tests.
std::string file(const std::string& name, const std::string& contents) {
  static const test::TemporaryFolder folder;
  return folder.write(name, contents);
}

PotentialOptions with(void (*set)(PotentialOptions&)) {
  PotentialOptions options;
  options.beta = 0.7;
  set(options);
  return options;
}

/// Options under which each kind is tried. A new kind needs an entry here, or the contract tests fail.
const std::map<std::string, PotentialOptions> tried = {
    {"classifier", with([](auto& o) { o.classifier = encoder_goldens / "bert", o.class_name = "positive"; })},
    {"contains", with([](auto& o) { o.ids = {2}; })},
    {"continuation", with([](auto& o) {
       o.ids = {1, 3, 0};
     })},
    {"judge", with([](auto& o) { o.template_text = "a{text}bc", o.answer = "a?"; })},
    {"keywords", with([](auto& o) { o.all_of = "a", o.none_of = "bc", o.log_floor = -3; })},
    {"lexicon", with([](auto& o) { o.lexicon = file("lexicon.tsv", "a\t1.5\nbc\t-2\n"), o.mode = "mean"; })},
    {"linear_head", with([](auto& o) {
       o.encoder = encoder_goldens / "sentence";
       o.head = encoder_goldens / "sentence/head.safetensors";
       o.class_name = "good";
     })},
    {"plugin", with([](auto& o) { o.plugin = TWISTOR_BINARY_DIR "/tests/plugins/both.so"; })},
    {"power", with([](auto& o) { o.beta = 1, o.alpha = 2.5; })},
    {"process", with([](auto& o) { o.command = "while read line; do echo -${#line}; done"; })},
    {"product", with([](auto& o) {
       o.beta = 1;
       o.factors["factor.a"].options.potential = "contains";
       o.factors["factor.a"].options.ids = {2};
       o.factors["factor.b"].weight = 0.5;
       o.factors["factor.b"].options.potential = "power";
       o.factors["factor.b"].options.alpha = 3;
     })},
    {"regex", with([](auto& o) { o.pattern = "a.*b", o.log_floor = -3; })},
    {"reward", with([](auto& o) {
       o.classifier = encoder_goldens.parent_path() / "reward/llama";
       o.cap = 5;
     })},
    {"similarity", with([](auto& o) { o.encoder = encoder_goldens / "sentence", o.text = "a bad plot"; })},
    {"tokens", with([](auto& o) {
       o.scores = {0.5, -1, log_zero, 2};
     })},
    {"toxicity_bilstm", with([](auto& o) {
       (void)file("model.weights.h5", "random_arrays() does not look into it");
       const std::filesystem::path words = file("words.json", R"({"filters": ".", "words": ["a", "abc"]})");
       o.classifier = words.parent_path();
       o.class_name = "threat";
     })},
};

std::unique_ptr<Potential> make(const std::string& name, const TargetContext& context) {
  const auto found = tried.find(name);
  if (found == tried.end()) throw std::runtime_error("no entry for " + name + " among the options to try");
  PotentialOptions options = found->second;
  options.potential = name;
  return make_potential(options, context);
}

class PotentialContract : public testing::TestWithParam<std::string> {
 protected:
  const model::TabularModel lm = model::TabularModel::random(V, 12, 5);
  const std::unique_ptr<Potential> potential =
      make(GetParam(), {.lm = &lm, .tokenizer = &tokenizer, .read_arrays = test::random_arrays});
  const Tokens prompt = {1, 2};
  const std::vector<Tokens> sequences = all_sequences(V, T);

  std::vector<double> values(const std::vector<Tokens>& batch) const {
    Tokens flat;
    for (const Tokens& s : batch) flat.insert(flat.end(), s.begin(), s.end());
    return potential->log_phi({prompt, flat, T});
  }
};

TEST_P(PotentialContract, ABatchIsManyBatchesOfOne) {
  const auto together = values(sequences);
  ASSERT_EQ(together.size(), sequences.size());
  for (std::size_t i = 0; i < sequences.size(); ++i)
    EXPECT_EQ(values({sequences[i]}).front(), together[i]) << i;
}

TEST_P(PotentialContract, OrderDoesNotMatterAndRepeatsAgree) {
  auto together = values(sequences);
  EXPECT_EQ(values(sequences), together);
  std::vector<Tokens> reversed(sequences.rbegin(), sequences.rend());
  std::reverse(together.begin(), together.end());
  EXPECT_EQ(values(reversed), together);
}

TEST_P(PotentialContract, ValuesAreFiniteOrMinusInfinityAndBelowTheBound) {
  double highest = log_zero;
  for (const double value : values(sequences)) {
    EXPECT_FALSE(std::isnan(value));
    EXPECT_LE(value, potential->log_phi_bound());
    highest = std::max(highest, value);
  }
  EXPECT_GT(highest, log_zero) << "options under which phi is 0 everywhere test nothing";
}

TEST_P(PotentialContract, SequencesMayHaveTheirOwnObservations) {
  const Tokens two = {0, 1};
  if (potential->given(std::span(two).first(1)) == nullptr)
    GTEST_SKIP() << "phi is no probability of an observation";
  std::vector<double> of[2];
  for (std::size_t o = 0; o < 2; ++o) {
    const auto given = potential->given(std::span(two).subspan(o, 1));
    for (const Tokens& s : sequences) of[o].push_back(given->log_phi({prompt, s, T}).front());
  }
  EXPECT_NE(of[0], of[1]);
  Tokens flat, observations;
  std::vector<double> expected;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const std::size_t o = i % 5 < 3 ? 0 : 1;  // neighbours that share one, and others
    flat.insert(flat.end(), sequences[i].begin(), sequences[i].end());
    observations.push_back(two[o]);
    expected.push_back(of[o][i]);
  }
  EXPECT_EQ(potential->log_phi_given({prompt, flat, T}, observations), expected);
}

TEST_P(PotentialContract, AnEmptyBatchIsEmpty) {
  EXPECT_TRUE(values({}).empty());
}

TEST_P(PotentialContract, RefusesBadShapesAndTokens) {
  const Tokens four = {0, 1, 2, 3};
  EXPECT_THROW((void)potential->log_phi({prompt, four, 3}), Error);
  EXPECT_THROW((void)potential->log_phi({prompt, four, 0}), Error);
  EXPECT_THROW((void)potential->log_phi({prompt, Tokens{0, V, 0}, 3}), Error);
  EXPECT_THROW((void)potential->log_phi({prompt, Tokens{0, -1, 0}, 3}), Error);
}

TEST_P(PotentialContract, SaysWhatItIs) {
  EXPECT_THAT(potential->description(), testing::HasSubstr(GetParam()));
}

std::vector<std::string> registered() {
  const auto names = potential_names();
  return {names.begin(), names.end()};
}

INSTANTIATE_TEST_SUITE_P(Registered, PotentialContract, testing::ValuesIn(registered()),
                         [](const auto& kind) { return kind.param; });

TEST(Registry, AnUnknownNameListsTheKnown) {
  PotentialOptions options;
  options.potential = "contians";
  try {
    (void)make_potential(options, {});
    FAIL() << "made a potential of an unknown name";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::config);
    EXPECT_THAT(error.text(), testing::HasSubstr("contians"));
    EXPECT_THAT(error.text(),
                testing::HasSubstr("classifier, contains, continuation, judge, keywords, lexicon, "));
  }
  options.potential = "contains";
  options.ids = {0};
  options.beta = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW((void)make_potential(options, {}), Error);
}

CheckedPotential checked(double value, double bound) {
  return {"mine", std::make_unique<FunctionPotential>([=](const Tokens&) { return value; }, bound), 2};
}

TEST(CheckedPotential, StopsBadValuesAtBirthAndNamesThePotential) {
  const double inf = std::numeric_limits<double>::infinity();
  const Tokens s = {0, 1};
  const auto refuses = [&](double value, double bound) {
    try {
      (void)checked(value, bound).log_phi({{}, s, 2});
      return false;
    } catch (const Error& error) {
      EXPECT_THAT(error.text(), testing::HasSubstr("'mine'"));
      return error.kind() == ErrorKind::data;
    }
  };
  EXPECT_TRUE(refuses(std::numeric_limits<double>::quiet_NaN(), inf));
  EXPECT_TRUE(refuses(inf, inf));
  EXPECT_TRUE(refuses(0.1, 0));
  EXPECT_FALSE(refuses(1e-12, 0)) << "rounding is not a violation";
  EXPECT_FALSE(refuses(log_zero, 0));
  EXPECT_FALSE(refuses(300, inf));
  EXPECT_THROW(checked(0, log_zero), Error) << "phi is 0 everywhere";
}

}  // namespace
}  // namespace twistor::potential
