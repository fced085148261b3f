// SPDX-License-Identifier: Apache-2.0
// Each kind of potential against sums by hand, its options and its files.
#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <limits>

#include "potential/kinds/contains.hpp"
#include "potential/kinds/continuation.hpp"
#include "potential/kinds/token_scores.hpp"
#include "twistor/base/error.hpp"
#include "unit/potential/brute_force.hpp"

namespace twistor::potential {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
constexpr double infinity = std::numeric_limits<double>::infinity();

Tokens flattened(const std::vector<Tokens>& sequences) {
  Tokens flat;
  for (const Tokens& s : sequences) flat.insert(flat.end(), s.begin(), s.end());
  return flat;
}

TEST(Continuation, IsTheSumOfConditionalsByHand) {
  const auto lm = model::TabularModel::random(4, 10, 5);
  const Tokens prompt = {3, 1};
  for (const Tokens& o : {Tokens{2}, Tokens{0, 3, 3, 1}}) {
    const ContinuationPotential potential(lm, o, 2.5);
    for (const Tokens& s : all_sequences(4, 3)) {
      Tokens past = prompt;
      past.insert(past.end(), s.begin(), s.end());
      EXPECT_NEAR(log_phi_of(potential, prompt, s), 2.5 * log_p0(lm, past, o), 1e-12);
    }
  }
}

TEST(Continuation, ChunkSizeDoesNotChangeABit) {
  const auto lm = model::TabularModel::random(5, 10, 5);
  const Tokens flat = flattened(all_sequences(5, 4));  // 625 sequences: three chunks of 256
  const Tokens prompt = {4};
  const auto expected = ContinuationPotential(lm, {1, 2}, 1).log_phi({prompt, flat, 4});
  for (const std::int64_t n_together : {1, 7, 624, 10000})
    EXPECT_EQ(ContinuationPotential(lm, {1, 2}, 1, n_together).log_phi({prompt, flat, 4}), expected)
        << n_together;
}

TEST(Continuation, ImpossibleContinuationsAreMinusInfinity) {
  const auto lm = model::TabularModel::order1(2, 8, {0, log_zero, 0, 0});  // 0 is never followed by 1
  const ContinuationPotential potential(lm, {1}, 0.5);
  EXPECT_EQ(log_phi_of(potential, {0}, {0}), log_zero);
  EXPECT_NEAR(log_phi_of(potential, {0}, {1}), 0.5 * std::log(0.5), 1e-15);
}

TEST(Continuation, OptionsAreChecked) {
  const auto lm = model::TabularModel::random(3, 8, 1);
  const ToyTokenizer tokenizer({"?", "a", "b"});
  PotentialOptions options;
  options.potential = "continuation";
  EXPECT_THROW((void)make_potential(options, {&lm, &tokenizer}), Error) << "nothing to follow";
  options.text = "ab";
  EXPECT_THROW((void)make_potential(options, {nullptr, &tokenizer}), Error) << "no model";
  EXPECT_THROW((void)make_potential(options, {&lm, nullptr}), Error) << "no tokenizer";
  const auto made = make_continuation(options, {&lm, &tokenizer});
  EXPECT_THAT(dynamic_cast<ContinuationPotential&>(*made).observation(), ElementsAre(1, 2));
  options.ids = {1};
  EXPECT_THROW((void)make_potential(options, {&lm, &tokenizer}), Error) << "both text and ids";
  options.text.clear();
  options.ids = {3};
  EXPECT_THROW((void)make_potential(options, {&lm, &tokenizer}), Error) << "token out of range";
  options.ids = {1};
  for (const double beta : {0.0, -1.0, infinity}) {
    options.beta = beta;
    EXPECT_THROW((void)make_potential(options, {&lm, &tokenizer}), Error) << beta;
  }
  const ContinuationPotential longer(lm, Tokens(6, 0), 1);
  EXPECT_THROW((void)log_phi_of(longer, {0}, {0, 0, 0}), Error)
      << "ten tokens, nine of them read, in a context of eight";
  EXPECT_THROW((void)log_phi_of(longer, {}, {0}), Error) << "no prompt";
}

TEST(Contains, FindsPatternsInTheGeneratedPartOnly) {
  const ContainsPotential potential({{3}, {1, 2}, {0, 0, 1}}, -4);
  const auto value = [&](const Tokens& s) { return log_phi_of(potential, {3, 1}, s); };
  EXPECT_EQ(value({0, 2, 0, 2}), -4) << "3, and 1 before 2, are in the prompt alone";
  EXPECT_EQ(value({2, 0, 0, 0}), -4) << "1 2 does not reach over the prompt";
  EXPECT_EQ(value({0, 0, 0, 3}), 0);
  EXPECT_EQ(value({3, 0, 0, 0}), 0);
  EXPECT_EQ(value({0, 1, 2, 0}), 0);
  EXPECT_EQ(value({1, 0, 2, 0}), -4) << "not consecutive";
  EXPECT_EQ(value({0, 0, 0, 1}), 0) << "a match that begins within a failed one";
  EXPECT_EQ(value({2, 2, 0, 0}), -4) << "a pattern cut off by the end";
}

TEST(Contains, WordsAreMatchedWithAndWithoutALeadingSpace) {
  const ToyTokenizer tokenizer({"?", "cat", " cat", "bad", " ", "s", " dog"});
  PotentialOptions options;
  options.potential = "contains";
  options.words = " cat, bad cat ,,cats,";
  options.ids = {6};
  const auto made = make_contains(options, {nullptr, &tokenizer});
  EXPECT_THAT(dynamic_cast<ContainsPotential&>(*made).patterns(),
              ElementsAre(ElementsAre(1), ElementsAre(1, 5), ElementsAre(2), ElementsAre(2, 5),
                          ElementsAre(3, 2), ElementsAre(4, 3, 2), ElementsAre(6)));
  EXPECT_EQ(made->log_phi({{}, Tokens{0, 0, 0}, 3}).front(), log_zero) << "the floor is -inf by default";

  const ToyTokenizer words({"?", "bad", " "});  // a space of its own, as a vocabulary of words might drop it
  options = {};
  options.words = "bad";
  EXPECT_EQ(make_contains(options, {nullptr, &words})->log_phi({{}, Tokens{1, 0}, 2}).front(), 0);
}

TEST(Contains, OptionsAreChecked) {
  const ToyTokenizer tokenizer({"?", "a", " "});
  PotentialOptions options;
  options.potential = "contains";
  EXPECT_THROW((void)make_potential(options, {nullptr, &tokenizer}), Error) << "nothing to look for";
  options.words = " , ";
  EXPECT_THROW((void)make_potential(options, {nullptr, &tokenizer}), Error) << "nothing to look for";
  options.words = "zebra";
  try {
    (void)make_potential(options, {nullptr, &tokenizer});
    FAIL() << "a word that the vocabulary cannot spell would match every unknown word";
  } catch (const Error& error) {
    EXPECT_THAT(error.text(), HasSubstr("zebra"));
  }
  options.words = "a";
  EXPECT_THROW((void)make_potential(options, {}), Error) << "words without a tokenizer";
  options.words.clear();
  options.ids = {3};
  EXPECT_THROW((void)make_potential(options, {nullptr, &tokenizer}), Error) << "token out of range";
  options.ids = {1};
  options.log_floor = 1;
  EXPECT_THROW((void)make_potential(options, {}), Error) << "a floor above the top";
  options.log_floor = -3;
  options.beta = 2;
  EXPECT_EQ(make_potential(options, {})->log_phi({{}, Tokens{0}, 1}).front(), -6) << "phi^beta";
  options.beta = -1;
  EXPECT_THROW((void)make_potential(options, {}), Error);
}

TEST(TokenScores, BagAndLast) {
  const std::vector<double> scores = {1, -2, log_zero, 0.5};
  const TokenScores bag(scores, ScoreMode::bag);
  const TokenScores last(scores, ScoreMode::last);
  EXPECT_EQ(log_phi_of(bag, {}, {0, 1, 0}), 0);
  EXPECT_EQ(log_phi_of(bag, {}, {0, 2, 0}), log_zero);
  EXPECT_EQ(log_phi_of(last, {}, {2, 2, 3}), 0.5);
  EXPECT_THROW((void)log_phi_of(bag, {}, {4}), Error);
  EXPECT_THROW((void)log_phi_of(bag, {}, {-1}), Error);
}

TEST(TokenScores, BoundsAreKnownWhereTheyCanBe) {
  EXPECT_EQ(TokenScores({1, -2}, ScoreMode::last).log_phi_bound(), 1);
  EXPECT_EQ(TokenScores({1, -2}, ScoreMode::bag).log_phi_bound(), infinity);
  EXPECT_EQ(TokenScores({1, -2}, ScoreMode::bag, 5).log_phi_bound(), 5);
  EXPECT_EQ(TokenScores({-1, -2}, ScoreMode::bag).log_phi_bound(), -1);
  EXPECT_EQ(TokenScores({-1, -2}, ScoreMode::bag, 5).log_phi_bound(), -5);
  EXPECT_THROW((void)log_phi_of(TokenScores({0, 0}, ScoreMode::bag, 5), {}, {0, 0}), Error)
      << "another length";
}

TEST(TokenScores, BetaScalesAndNeverMakesNaN) {
  PotentialOptions options;
  options.potential = "tokens";
  options.mode = "last";
  options.scores = {1, log_zero};
  options.beta = 3;
  EXPECT_EQ(log_phi_of(*make_potential(options, {}), {}, {0}), 3);
  EXPECT_EQ(log_phi_of(*make_potential(options, {}), {}, {1}), log_zero);
  options.beta = 0;
  EXPECT_EQ(log_phi_of(*make_potential(options, {}), {}, {1}), 0);
  options.beta = -1;
  EXPECT_THROW((void)make_potential(options, {}), Error) << "-1 times -inf is +inf";
  options.beta = 1;
  options.scores = {0, std::numeric_limits<double>::quiet_NaN()};
  EXPECT_THROW((void)make_potential(options, {}), Error);
  options.scores.clear();
  EXPECT_THROW((void)make_potential(options, {}), Error);
  options.scores = {log_zero, log_zero};
  EXPECT_THROW((void)make_potential(options, {}), Error) << "phi is 0 everywhere";
  options.scores = {0, 0};
  options.mode = "first";
  EXPECT_THROW((void)make_potential(options, {}), Error);
  const ToyTokenizer three({"?", "a", "b"});
  options.mode = "bag";
  EXPECT_THROW((void)make_potential(options, {nullptr, &three}), Error) << "two scores for three tokens";
}

class ScoreFile : public testing::Test {
 protected:
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() /
      fmt::format("twistor_scores_{}_{}", getpid(),
                  testing::UnitTest::GetInstance()->current_test_info()->name());
  void write(const std::string& text) const { std::ofstream(path) << text; }
  ~ScoreFile() override { std::filesystem::remove(path); }
};

TEST_F(ScoreFile, IsRead) {
  write("# nasty words\n\n 3 -1.5\r\n1\t2e-1\n  0 -inf  ");
  EXPECT_THAT(read_token_scores(path, 5), ElementsAre(log_zero, 0.2, 0, -1.5, 0));
  EXPECT_THAT(read_token_scores(path, 0), ElementsAre(log_zero, 0.2, 0, -1.5));
  PotentialOptions options;
  options.potential = "tokens";
  options.table = path;
  EXPECT_EQ(log_phi_of(*make_potential(options, {}), {}, {3, 3}), -3);
  options.scores = {0};
  EXPECT_THROW((void)make_potential(options, {}), Error) << "scores given twice";
}

TEST_F(ScoreFile, BadLinesAreNamed) {
  for (const std::string bad : {"5 1", "-1 1", "1", "1 x", "x 1", "1 2 3", "1 nan", "1 inf", "0 1", "1,2",
                                "12", "99999999999999999999 1", "1 1e999"}) {
    write("0 1\n" + bad + "\n");
    try {
      (void)read_token_scores(path, 5);
      FAIL() << "accepted '" << bad << "'";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data) << bad;
      EXPECT_THAT(error.text(), HasSubstr("line 2")) << bad;
      EXPECT_THAT(error.text(), HasSubstr(path.string())) << bad;
    }
  }
  write("# nothing\n");
  EXPECT_THROW((void)read_token_scores(path, 5), Error);
  write("16777216 1\n");
  EXPECT_THROW((void)read_token_scores(path, 0), Error) << "asks for too much memory";
  EXPECT_THROW((void)read_token_scores(path.string() + "_not_there", 5), Error);
}

}  // namespace
}  // namespace twistor::potential
