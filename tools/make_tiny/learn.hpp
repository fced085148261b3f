// SPDX-License-Identifier: Apache-2.0
// Training the tiny model on stories drawn as it goes, and measuring it on stories that it never saw.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "make_tiny/gpt.hpp"
#include "make_tiny/grammar.hpp"

namespace twistor::tiny {

/// Which stories of a seed: the two sets share no random number.
enum class Split : std::uint32_t { train = 0, held_out = 1 };

/// Story number `index` of a split; the same whoever asks and in whatever order.
[[nodiscard]] std::vector<std::int64_t> story(const Grammar& grammar, std::uint64_t seed, Split split,
                                              std::uint64_t index);

struct TrainOptions {
  std::uint64_t seed = 1;
  std::int64_t n_steps = 3000;
  std::int64_t batch = 64;  // rows of n_positions tokens
  double learning_rate = 4e-3;
  bool is_verbose = true;  // a line to stderr now and then
};

/// Trains from random weights: Adam, linear warm-up, cosine decay to zero. One thread; the same bits every
/// time.
[[nodiscard]] Gpt train(const Grammar& grammar, const TrainOptions& options);

/// One line of the table that evaluate() makes.
struct Score {
  std::string name;
  double nats_per_token = 0;
  double perplexity = 0;
};

struct EvaluateOptions {
  std::uint64_t seed = 1;
  std::int64_t n_stories = 4000;          // held out
  std::int64_t n_ngram_stories = 200000;  // that the n-gram models count
  std::int64_t max_order = 6;
};

struct Evaluation {
  std::int64_t n_tokens = 0;  // end tokens included
  std::vector<Score> scores;
};

/// Held-out scores of the model, of n-gram models of order 1 to max_order, and of the grammar itself (the
/// true source).
[[nodiscard]] Evaluation evaluate(const Grammar& grammar, const Gpt& model, const EvaluateOptions& options);

}  // namespace twistor::tiny
