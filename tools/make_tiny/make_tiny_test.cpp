// SPDX-License-Identifier: Apache-2.0
// Tests of the tool that makes models/tiny: grammar, n-grams, forward pass, enumeration, files.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/remainder.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>

#include "make_tiny/files.hpp"
#include "make_tiny/grammar.hpp"
#include "make_tiny/learn.hpp"
#include "make_tiny/ngram.hpp"
#include "make_tiny/target.hpp"
#include "twistor/base/error.hpp"

namespace twistor::tiny {
namespace {

const char* const prompt_text = "once upon a time there was a kind fox . one day the fox met a hen .";

const Grammar& shipped_grammar() {
  static const Grammar grammar(TINY_GRAMMAR);
  return grammar;
}

Gpt random_model(std::int64_t n_vocab) {
  Shape shape;
  shape.n_vocab = n_vocab;
  shape.n_positions = 16;
  shape.n_embd = 8;
  shape.n_head = 2;
  Gpt model(shape, 3);
  for (at::Tensor parameter : model.parameters()) parameter.mul_(8);  // far from uniform
  return model;
}

std::filesystem::path temporary(const std::string& name) {
  return std::filesystem::path(testing::TempDir()) / ("make_tiny_" + name);
}

Grammar grammar_from(const std::string& text) {
  const auto path = temporary("grammar.txt");
  std::ofstream(path) << text;
  return Grammar(path);
}

TEST(Grammar, FitsTheModel) {
  const Grammar& grammar = shipped_grammar();
  EXPECT_LE(grammar.words().size(), 64u);
  EXPECT_EQ(grammar.words()[end_id], "<end>");
  EXPECT_EQ(grammar.words()[unknown_id], "<unk>");
  for (std::uint64_t i = 0; i < 3000; ++i) {
    const auto words = story(grammar, 1, Split::train, i);
    ASSERT_LE(words.size(), 63u) << grammar.decode(words);
    ASSERT_EQ(words.back(), end_id);
    ASSERT_EQ(grammar.encode(grammar.decode(words)), words);
  }
  EXPECT_NE(story(grammar, 1, Split::train, 0), story(grammar, 1, Split::held_out, 0));
  EXPECT_THROW((void)grammar.encode("a purple fox"), Error);
}

TEST(Grammar, RemembersAndScoresExactly) {
  const Grammar grammar = grammar_from(
      "STORY 1 : KIND @kind WHO . @kind END <end>\nKIND 3 : kind=good\nKIND 1 : kind=bad\n"
      "WHO [kind=good] 2 : fox\nWHO [kind!=bad] 2 : fox hen\nWHO 4 : hen\nEND 1 :\nEND 1 : .\n");
  // good: fox | fox hen | hen with 1/4, 1/4, 1/2; bad: hen. Two derivations begin "good fox".
  const std::map<std::string, double> expected{{"good fox . good <end>", 0.75 * 0.25 * 0.5},
                                               {"good fox hen . good . <end>", 0.75 * 0.25 * 0.5},
                                               {"good hen . good <end>", 0.75 * 0.5 * 0.5},
                                               {"bad hen . bad . <end>", 0.25 * 0.5},
                                               {"bad fox . bad <end>", 0.0},
                                               {"bad hen . good <end>", 0.0}};
  for (const auto& [text, probability] : expected) {
    StoryScorer scorer(grammar);
    double p = 1;
    for (const std::int64_t word : grammar.encode(text)) p *= scorer.advance(word);
    EXPECT_NEAR(p, probability, 1e-15) << text;
  }
  // Drawn as often as scored: 4 standard errors in each of 4 classes, false alarm below 3e-4.
  constexpr int n = 20000;
  std::map<std::string, int> drawn;
  for (std::uint64_t i = 0; i < n; ++i) ++drawn[grammar.decode(story(grammar, 7, Split::train, i))];
  for (const auto& [text, probability] : expected)
    EXPECT_NEAR(drawn[text], n * probability, 4 * std::sqrt(n * probability * (1 - probability))) << text;
}

TEST(Grammar, ScorerIsADistributionAfterEveryWord) {
  const Grammar& grammar = shipped_grammar();
  StoryScorer scorer(grammar);
  for (std::uint64_t i = 0; i < 50; ++i) {
    for (const std::int64_t word : story(grammar, 5, Split::train, i)) {
      double sum = 0;
      for (const double p : scorer.next()) sum += p;
      ASSERT_NEAR(sum, 1, 1e-12);
      ASSERT_GT(scorer.advance(word), 0);
    }
  }
}

TEST(Grammar, RefusesBadFiles) {
  for (const char* text : {"STORY 1 once", "story 1 : once", "STORY x : once", "STORY 0 : once",
                           "STORY [a] 1 : once", "STORY 1 : OTHER", "OTHER 1 : once"})
    EXPECT_THROW(grammar_from(std::string(text) + "\n"), Error) << text;
  EXPECT_THROW(Grammar("/nowhere/grammar.txt"), Error);
}

TEST(NGram, SumsToOneAndMatchesHandCount) {
  constexpr std::int64_t n_vocab = 5;
  const std::vector<std::vector<std::int64_t>> stories{{1, 2, 3, 0}, {1, 2, 2, 0}, {4, 2, 3, 0}};
  for (std::int64_t order = 1; order <= 4; ++order) {
    NGramModel model(order, n_vocab);
    for (const auto& words : stories) model.count(words);
    model.finish();
    for (const std::vector<std::int64_t>& context :
         {std::vector<std::int64_t>{}, {1}, {1, 2}, {3, 3}, {4, 2, 3}}) {
      double sum = 0;
      for (std::int64_t v = 0; v < n_vocab; ++v) {
        auto words = context;
        words.push_back(v);
        sum += std::exp(model.log_prob(words, static_cast<std::int64_t>(context.size())));
      }
      EXPECT_NEAR(sum, 1, 1e-12) << "order " << order;
    }
  }
  // Unigrams: counts 0:3 1:2 2:4 3:2 4:1 of 12; seen once: 1, twice: 2, so D = 1/5 and each of 5 words gets
  // 1/60 more.
  NGramModel unigram(1, n_vocab);
  for (const auto& words : stories) unigram.count(words);
  unigram.finish();
  const std::vector<std::int64_t> two{2};
  EXPECT_NEAR(std::exp(unigram.log_prob(two, 0)), (4 - 0.2) / 12 + 0.2 * 5 / 12 / 5, 1e-14);
}

TEST(Gpt, PrefixFromTheCacheGivesTheSameLogits) {
  const Gpt model = random_model(7).to_double();
  const at::Tensor ids = at::remainder(at::arange(10, at::kLong).mul(3), 7).unsqueeze(0);
  const at::Tensor whole = model.logits(ids);
  Past past;
  (void)model.logits(ids.slice(1, 0, 6), nullptr, &past);
  const at::Tensor rest = model.logits(ids.slice(1, 6).expand({3, -1}), &past);
  EXPECT_LT((rest - whole.slice(1, 6)).abs().max().item<double>(), 1e-12);
  // Causal: a later token changes nothing before it.
  at::Tensor changed = ids.clone();
  changed[0][8] = (ids[0][8].item<std::int64_t>() + 1) % 7;
  EXPECT_EQ((model.logits(changed) - whole).slice(1, 0, 8).abs().max().item<double>(), 0);
  EXPECT_GT((model.logits(changed) - whole).slice(1, 8).abs().max().item<double>(), 1e-3);
}

// What GPT2LMHeadModel of transformers (torch 2.11, float32, eager attention) makes of the shipped folder.
TEST(ShippedModel, AgreesWithTransformers) {
  const std::vector<double> last_logits{-1.8306284, -5.8512063, -1.2112172, -0.9826791, 6.8013492,
                                        -0.1297703, -0.8574372, -1.8628290, 0.2033835,  -3.0102184};
  constexpr double log_p_prompt = -4.388785763;  // of the second to the last word, given those before
  const Grammar& grammar = shipped_grammar();
  const Gpt model = read_model(TINY_MODEL_DIR, grammar.words());
  const auto ids = grammar.encode(prompt_text);
  const at::Tensor logits = model.logits(at::tensor(ids).unsqueeze(0))[0];
  const auto last = static_cast<std::int64_t>(ids.size()) - 1;
  for (std::size_t v = 0; v < last_logits.size(); ++v)
    EXPECT_NEAR(logits[last][static_cast<std::int64_t>(v)].item<double>(), last_logits[v], 1e-4);
  const at::Tensor log_p = at::log_softmax(logits.to(at::kDouble), -1);
  double sum = 0;
  for (std::int64_t i = 0; i < last; ++i)
    sum += log_p[i][ids[static_cast<std::size_t>(i) + 1]].item<double>();
  EXPECT_NEAR(sum, log_p_prompt, 1e-4);
}

TEST(Target, AgreesWithBruteForce) {
  constexpr std::int64_t n_vocab = 4, length = 4;
  const Gpt model = random_model(n_vocab).to_double();
  const std::vector<std::int64_t> prompt{3, 0, 1}, event{2, 1};
  double z = 0, kl_total = 0;
  for (std::int64_t code = 0; code < 256; ++code) {
    std::vector<std::int64_t> text = prompt;
    for (std::int64_t t = 0, left = code; t < length; ++t, left /= n_vocab) text.push_back(left % n_vocab);
    const at::Tensor log_p = at::log_softmax(model.logits(at::tensor(text).unsqueeze(0)), -1)[0];
    double sum = 0;
    for (std::size_t i = prompt.size(); i < text.size(); ++i)
      sum += log_p[static_cast<std::int64_t>(i) - 1][text[i]].item<double>();
    const bool hit = std::search(text.begin() + 3, text.end(), event.begin(), event.end()) != text.end();
    if (hit) z += std::exp(sum);
  }
  const ExactTarget exact = enumerate_target(model, prompt, event, length);
  EXPECT_NEAR(exact.log_z, std::log(z), 1e-12);
  for (const StepOfTarget& step : exact.steps) {
    kl_total += step.kl;
    EXPECT_GE(step.kl, 0);
  }
  EXPECT_NEAR(kl_total, -exact.log_z, 1e-12);
  EXPECT_NEAR(log_z_with_floor(exact.log_z, -2), std::log(z + (1 - z) * std::exp(-2)), 1e-12);
  EXPECT_THROW((void)enumerate_target(model, {}, event, length), Error);
  EXPECT_THROW((void)enumerate_target(model, prompt, event, 14), Error);
}

TEST(Files, RoundTripAndRefusal) {
  const auto folder = temporary("model");
  const std::vector<std::string> words{"<end>", "<unk>", "a", "b"};
  const Gpt model = random_model(4);
  write_model(folder, model, words);
  const Gpt back = read_model(folder, words);
  EXPECT_EQ(back.shape(), model.shape());
  for (std::size_t i = 0; i < model.parameters().size(); ++i)
    EXPECT_TRUE(at::equal(back.parameters()[i], model.parameters()[i]));
  EXPECT_THROW((void)read_model(folder, {"<end>", "<unk>", "a", "c"}), Error);
  std::filesystem::resize_file(folder / "model.safetensors", 3000);
  EXPECT_THROW((void)read_model(folder, words), Error);
  std::filesystem::remove_all(folder);
  EXPECT_THROW((void)read_model(folder, words), Error);
}

}  // namespace
}  // namespace twistor::tiny
