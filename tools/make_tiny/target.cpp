// SPDX-License-Identifier: Apache-2.0
// Enumeration of the tiny model's sequences, one level of prefixes at a time.
#include "make_tiny/target.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/log_softmax.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"

namespace twistor::tiny {
namespace {

/// All prefixes of one length in which the event is not complete.
struct Level {
  std::int64_t length = 0;
  std::vector<std::int64_t> tokens;   // (n, length)
  std::vector<std::int64_t> parents;  // (n), rows of the level before
  std::vector<double> log_p;          // (n), log p0(prefix | prompt)
  std::vector<double> mass;           // (n), p0(prefix and event)
  [[nodiscard]] std::size_t size() const { return log_p.size(); }
  [[nodiscard]] std::span<const std::int64_t> row(std::size_t i) const {
    return std::span(tokens).subspan(i * static_cast<std::size_t>(length), static_cast<std::size_t>(length));
  }
};

bool ends_with(std::span<const std::int64_t> tokens, std::span<const std::int64_t> event) {
  return tokens.size() >= event.size() &&
         std::equal(event.begin(), event.end(), tokens.end() - static_cast<std::ptrdiff_t>(event.size()));
}

/// log p0(. | prompt and prefix) for rows [begin, end) of a level: (end - begin, V) float64.
at::Tensor next_log_probs(const Gpt& model, const Past& past, const at::Tensor& first, const Level& level,
                          std::size_t begin, std::size_t end) {
  if (level.length == 0) return first;
  const auto rows = level.row(begin);
  const at::Tensor ids = at::empty({static_cast<std::int64_t>(end - begin), level.length}, at::kLong);
  std::copy_n(rows.data(), ids.numel(), ids.data_ptr<std::int64_t>());
  const at::Tensor last = model.logits(ids, &past).select(1, level.length - 1);
  return at::log_softmax(last.to(at::kDouble), -1);
}

/// The children of `level`: hits are recorded, the rest makes the next level (unless this was the last step).
Level descend(const Gpt& model, const Past& past, const at::Tensor& first, Level& level,
              std::span<const std::int64_t> event, bool is_last, ExactTarget& result) {
  constexpr std::size_t rows_at_once = 1024;
  const std::int64_t n_vocab = model.shape().n_vocab;
  StepOfTarget& step = result.steps[static_cast<std::size_t>(level.length)];
  Level next;
  next.length = level.length + 1;
  for (std::size_t begin = 0; begin < level.size(); begin += rows_at_once) {
    const std::size_t end = std::min(level.size(), begin + rows_at_once);
    const at::Tensor log_probs = next_log_probs(model, past, first, level, begin, end);
    const auto log_p_next = log_probs.accessor<double, 2>();
    for (std::size_t i = begin; i < end; ++i) {
      std::vector<std::int64_t> child(level.row(i).begin(), level.row(i).end());
      child.push_back(0);
      for (std::int64_t v = 0; v < n_vocab; ++v) {
        child.back() = v;
        const double log_p = level.log_p[i] + log_p_next[static_cast<std::int64_t>(i - begin)][v];
        step.p0[static_cast<std::size_t>(v)] += std::exp(log_p);
        if (ends_with(child, event)) {
          level.mass[i] += std::exp(log_p);
          step.sigma[static_cast<std::size_t>(v)] += std::exp(log_p);
          result.hits.push_back({child, log_p});
        } else if (!is_last) {
          next.tokens.insert(next.tokens.end(), child.begin(), child.end());
          next.parents.push_back(static_cast<std::int64_t>(i));
          next.log_p.push_back(log_p);
        }
      }
    }
  }
  next.mass.assign(next.size(), 0.0);
  return next;
}

/// Carries the event's mass up to the prompt, and measures at every step how much the event steers.
void ascend(std::vector<Level>& levels, ExactTarget& result) {
  for (std::size_t t = levels.size(); t-- > 1;) {
    for (std::size_t i = 0; i < levels[t].size(); ++i) {
      levels[t - 1].mass[static_cast<std::size_t>(levels[t].parents[i])] += levels[t].mass[i];
      result.steps[t - 1].sigma[static_cast<std::size_t>(levels[t].tokens[(i + 1) * t - 1])] +=
          levels[t].mass[i];
    }
  }
  const double z = levels[0].mass[0];
  result.log_z = std::log(z);
  const auto log_psi = [&](std::size_t t, std::size_t i) {
    return std::log(levels[t].mass[i]) - levels[t].log_p[i];
  };
  // Sum over prefixes of sigma(prefix) log psi*: what each level has, and what the hits that ended there keep
  // (psi* = 1).
  std::vector<double> mean(levels.size() + 1, 0.0);
  for (std::size_t t = 0; t < levels.size(); ++t)
    for (std::size_t i = 0; i < levels[t].size(); ++i)
      if (levels[t].mass[i] > 0) mean[t] += levels[t].mass[i] / z * log_psi(t, i);
  for (std::size_t t = 0; t < levels.size(); ++t) {
    result.steps[t].kl = mean[t + 1] - mean[t];
    for (double& p : result.steps[t].sigma) p /= z;
  }
}

}  // namespace

ExactTarget enumerate_target(const Gpt& model, std::span<const std::int64_t> prompt,
                             std::span<const std::int64_t> event, std::int64_t length) {
  constexpr double max_sequences = 2e8;
  const Shape& shape = model.shape();
  const auto check = [](bool condition, const std::string& problem) {
    TWISTOR_CHECK(condition, ErrorKind::usage, "enumerating the target", problem,
                  "see make_tiny target --help");
  };
  check(!prompt.empty() && !event.empty() && length >= 1, "prompt, event and length must not be empty");
  check(static_cast<std::int64_t>(prompt.size()) + length <= shape.n_positions,
        "the text is longer than the context");
  check(std::pow(static_cast<double>(shape.n_vocab), static_cast<double>(length)) <= max_sequences,
        fmt::format("more than {} sequences", max_sequences));
  const c10::NoGradGuard no_gradient;
  Past past;
  const at::Tensor ids = at::empty({1, static_cast<std::int64_t>(prompt.size())}, at::kLong);
  std::copy(prompt.begin(), prompt.end(), ids.data_ptr<std::int64_t>());
  const at::Tensor last = model.logits(ids, nullptr, &past).select(1, ids.size(1) - 1);
  const at::Tensor first = at::log_softmax(last.to(at::kDouble), -1);

  ExactTarget result;
  const std::vector<double> zeros(static_cast<std::size_t>(shape.n_vocab), 0.0);
  result.steps.assign(static_cast<std::size_t>(length), {0.0, zeros, zeros});
  std::vector<Level> levels{{0, {}, {-1}, {0.0}, {0.0}}};
  for (std::int64_t t = 0; t < length; ++t) {
    Level next = descend(model, past, first, levels.back(), event, t + 1 == length, result);
    if (t + 1 < length) levels.push_back(std::move(next));
  }
  ascend(levels, result);
  std::sort(result.hits.begin(), result.hits.end(),
            [](const Hit& a, const Hit& b) { return a.log_p > b.log_p; });
  return result;
}

namespace {

/// p(event within `left` more words), following the grammar's possible words.
double grammar_mass(const StoryScorer& scorer, std::vector<std::int64_t>& words,
                    std::span<const std::int64_t> event, std::int64_t left) {
  if (left == 0) return 0;
  const std::vector<double> p = scorer.next();
  double mass = 0;
  for (std::size_t v = 0; v < p.size(); ++v) {
    if (p[v] == 0) continue;
    words.push_back(static_cast<std::int64_t>(v));
    if (ends_with(words, event)) {
      mass += p[v];
    } else {
      StoryScorer next = scorer;
      next.advance(static_cast<std::int64_t>(v));
      mass += p[v] * grammar_mass(next, words, event, left - 1);
    }
    words.pop_back();
  }
  return mass;
}

}  // namespace

double grammar_log_z(const Grammar& grammar, std::span<const std::int64_t> prompt,
                     std::span<const std::int64_t> event, std::int64_t length) {
  StoryScorer scorer(grammar);
  for (const std::int64_t word : prompt) scorer.advance(word);
  std::vector<std::int64_t> words;
  return std::log(grammar_mass(scorer, words, event, length));
}

double log_z_with_floor(double log_z, double log_floor) {
  return log_add_exp(log_z, std::log1p(-std::exp(log_z)) + log_floor);
}

}  // namespace twistor::tiny
