// SPDX-License-Identifier: Apache-2.0
// Batches, schedule and scores of the tiny model.
#include "make_tiny/learn.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/log_softmax.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "make_tiny/ngram.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/log.hpp"

namespace twistor::tiny {
namespace {

constexpr std::int64_t stories_per_row = 4;  // more than ever fit

/// (batch, n_positions + 1) int64. Every row begins with a story, every second one with the end token in
/// front of it, so that the model knows texts with and without a begin token.
at::Tensor batch_rows(const Grammar& grammar, const TrainOptions& options, std::int64_t step,
                      std::int64_t width) {
  const at::Tensor rows = at::empty({options.batch, width}, at::kLong);
  auto* out = rows.data_ptr<std::int64_t>();
  for (std::int64_t row = 0; row < options.batch; ++row) {
    const std::int64_t number = step * options.batch + row;
    std::vector<std::int64_t> text;
    if (row % 2 == 0) text.push_back(end_id);
    for (std::int64_t j = 0; static_cast<std::int64_t>(text.size()) < width; ++j) {
      TWISTOR_ASSERT(j < stories_per_row, "stories are not that short");
      const auto next = story(grammar, options.seed, Split::train,
                              static_cast<std::uint64_t>(number * stories_per_row + j));
      text.insert(text.end(), next.begin(), next.end());
    }
    std::copy_n(text.begin(), width, out + row * width);
  }
  return rows;
}

double learning_rate_at(const TrainOptions& options, std::int64_t step) {
  const double warm_up = std::min(100.0, 0.1 * static_cast<double>(options.n_steps));
  const double now = static_cast<double>(step) + 1;
  if (now < warm_up) return options.learning_rate * now / warm_up;
  const double done = static_cast<double>(step) / static_cast<double>(options.n_steps);
  return options.learning_rate * 0.5 * (1 + std::cos(std::numbers::pi * done));
}

/// Sum over all stories and tokens of log p(token | "<end>" and the story so far).
double model_log_prob(const Gpt& model, const std::vector<std::vector<std::int64_t>>& stories) {
  const c10::NoGradGuard no_gradient;
  constexpr std::size_t rows = 200;
  double total = 0;
  for (std::size_t begin = 0; begin < stories.size(); begin += rows) {
    const std::size_t n = std::min(rows, stories.size() - begin);
    const at::Tensor ids =
        at::full({static_cast<std::int64_t>(n), model.shape().n_positions}, end_id, at::kLong);
    for (std::size_t r = 0; r < n; ++r) {
      const auto& text = stories[begin + r];
      std::copy(text.begin(), text.end() - 1,
                ids.data_ptr<std::int64_t>() + ids.size(1) * static_cast<std::int64_t>(r) + 1);
    }
    const at::Tensor log_p = at::log_softmax(model.logits(ids).to(at::kDouble), -1);
    const auto values = log_p.accessor<double, 3>();
    for (std::size_t r = 0; r < n; ++r)
      for (std::size_t i = 0; i < stories[begin + r].size(); ++i)
        total += values[static_cast<std::int64_t>(r)][static_cast<std::int64_t>(i)][stories[begin + r][i]];
  }
  return total;
}

double ngram_log_prob(const Grammar& grammar, const EvaluateOptions& options, std::int64_t order,
                      const std::vector<std::vector<std::int64_t>>& stories) {
  NGramModel model(order, static_cast<std::int64_t>(grammar.words().size()));
  for (std::int64_t i = 0; i < options.n_ngram_stories; ++i)
    model.count(story(grammar, options.seed, Split::train, static_cast<std::uint64_t>(i)));
  model.finish();
  double total = 0;
  for (const auto& text : stories)
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(text.size()); ++i)
      total += model.log_prob(text, i);
  return total;
}

double grammar_log_prob(const Grammar& grammar, const std::vector<std::vector<std::int64_t>>& stories) {
  double total = 0;
  StoryScorer scorer(grammar);
  for (const auto& text : stories)
    for (const std::int64_t word : text) total += std::log(scorer.advance(word));
  return total;
}

}  // namespace

std::vector<std::int64_t> story(const Grammar& grammar, std::uint64_t seed, Split split,
                                std::uint64_t index) {
  Philox random(seed, Stream::corpus, static_cast<std::uint32_t>(split), index);
  return grammar.draw(random);
}

Gpt train(const Grammar& grammar, const TrainOptions& options) {
  Shape shape;
  shape.n_vocab = static_cast<std::int64_t>(grammar.words().size());
  Gpt model(shape, options.seed);
  for (at::Tensor parameter : model.parameters()) parameter.requires_grad_(true);
  Adam adam(model.parameters());
  double recent = 0;
  constexpr std::int64_t report_every = 100;
  for (std::int64_t step = 0; step < options.n_steps; ++step) {
    const at::Tensor rows = batch_rows(grammar, options, step, shape.n_positions + 1);
    const at::Tensor logits = model.logits(rows.slice(1, 0, shape.n_positions));
    const at::Tensor loss =
        at::cross_entropy_loss(logits.reshape({-1, shape.n_vocab}), rows.slice(1, 1).reshape({-1}));
    loss.backward();
    adam.step(learning_rate_at(options, step));
    recent += loss.item<double>() / static_cast<double>(report_every);
    if (options.is_verbose && (step + 1) % report_every == 0) {
      log_info(fmt::format("step {} of {}: {:.4f} nats per token", step + 1, options.n_steps, recent));
      recent = 0;
    }
  }
  for (at::Tensor parameter : model.parameters()) parameter.requires_grad_(false);
  return model;
}

Evaluation evaluate(const Grammar& grammar, const Gpt& model, const EvaluateOptions& options) {
  Evaluation result;
  std::vector<std::vector<std::int64_t>> stories;
  for (std::int64_t i = 0; i < options.n_stories; ++i) {
    stories.push_back(story(grammar, options.seed, Split::held_out, static_cast<std::uint64_t>(i)));
    result.n_tokens += static_cast<std::int64_t>(stories.back().size());
  }
  const auto add = [&](const std::string& name, double log_prob) {
    const double nats = -log_prob / static_cast<double>(result.n_tokens);
    result.scores.push_back({name, nats, std::exp(nats)});
  };
  add("model", model_log_prob(model, stories));
  for (std::int64_t order = 1; order <= options.max_order; ++order)
    add(fmt::format("{}-gram", order), ngram_log_prob(grammar, options, order, stories));
  add("grammar", grammar_log_prob(grammar, stories));
  return result;
}

}  // namespace twistor::tiny
