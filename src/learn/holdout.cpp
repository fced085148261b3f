// SPDX-License-Identifier: Apache-2.0
// Holding texts of a round out, and what they say.
#include "twistor/learn/holdout.hpp"

#include <algorithm>
#include <cmath>
#include <span>

#include "twistor/base/error.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/base/reproducible_sum.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/smc/forced_pass.hpp"

namespace twistor::learn {
namespace {

constexpr std::int64_t texts_at_once = 64;  // bounds the hidden states in memory

void append(WeightedTexts& out, const WeightedTexts& from, std::int64_t i, std::int64_t length) {
  const auto first = from.tokens.begin() + i * length;
  out.tokens.insert(out.tokens.end(), first, first + length);
  out.log_w.push_back(from.log_w[static_cast<std::size_t>(i)]);
  out.log_phi.push_back(from.log_phi[static_cast<std::size_t>(i)]);
}

}  // namespace

void Holdout::begin(WeightedTexts& texts, std::int64_t length, double share, std::uint64_t seed) {
  *this = Holdout();
  WeightedTexts learned, held;
  for (std::int64_t i = 0; i < texts.size(); ++i) {
    Philox random(seed, Stream::holdout, 0, static_cast<std::uint64_t>(i));
    append(random.uniform() < share ? held : learned, texts, i, length);
  }
  if (learned.ess() == 0 || held.ess() == 0) return;
  texts = std::move(learned);
  texts_ = std::move(held);
}

bool Holdout::is_due(std::int64_t done, std::int64_t updates) {
  return done == updates || done % std::max<std::int64_t>(1, updates / checks) == 0;
}

bool Holdout::check(const smc::Problem& problem, const twist::Trainable& twist, std::int64_t length,
                    const comm::Communicator& world) {
  score_ = score_of(problem, twist, length, world);
  if (n_checks_++ > 0 && score_ <= best_score_) return ++n_worse_ < patience;
  best_score_ = score_;
  n_worse_ = 0;
  best_.clear();
  for (const twist::Parameter& p : twist.parameters()) best_.emplace_back(p.value.begin(), p.value.end());
  return true;
}

void Holdout::end(twist::Trainable& twist) {
  if (n_worse_ > 0) {
    for (std::size_t i = 0; i < best_.size(); ++i) twist.parameters()[i].value.replace(best_[i]);
    twist.refresh();
  }
  *this = Holdout();
}

double Holdout::score_of(const smc::Problem& problem, const twist::Trainable& twist, std::int64_t length,
                         const comm::Communicator& world) const {
  const std::int64_t first = texts_.size() * world.rank() / world.size(),
                     last = texts_.size() * (world.rank() + 1) / world.size();
  const double log_sum = texts_.log_z();
  FixedPointSum sum;
  for (std::int64_t begin = first; begin < last; begin += texts_at_once) {
    const std::int64_t n = std::min(texts_at_once, last - begin);
    const auto tokens =
        std::span(texts_.tokens)
            .subspan(static_cast<std::size_t>(begin * length), static_cast<std::size_t>(n * length));
    const auto hidden =
        smc::hidden_states(problem, length, tokens).view({n * length, problem.lm.hidden_size()});
    const std::vector<double> log_psi = twist::log_psi_at(twist, twist.features(hidden), tokens);
    const std::vector<char> ended = problem.lm.end_rule().mask(tokens, length);
    for (std::int64_t i = 0; i < n; ++i) {
      double log_ratio = 0;
      for (auto at = static_cast<std::size_t>(i * length); at < static_cast<std::size_t>((i + 1) * length);
           ++at)
        if (ended[at] == 0) log_ratio += log_psi[at];
      sum.add(std::exp(texts_.log_w[static_cast<std::size_t>(begin + i)] - log_sum) * log_ratio);
    }
  }
  comm::all_reduce(std::span(&sum, 1), world);
  return sum.value();
}

void Holdout::visit_state(StateVisitor& visitor, const twist::Trainable& twist) {
  visitor.ids("holdout_tokens", texts_.tokens);
  visitor.numbers("holdout_log_w", texts_.log_w);
  std::vector<double> scores{score_, best_score_, static_cast<double>(n_checks_),
                             static_cast<double>(n_worse_)};
  if (n_checks_ == 0) scores.clear();
  visitor.numbers("holdout_scores", scores);
  if (visitor.is_restoring()) {
    texts_.log_phi.resize(texts_.log_w.size());  // which nobody asks for
    TWISTOR_CHECK(scores.empty() || scores.size() == 4, ErrorKind::data, "resuming learning",
                  "holdout_scores has another number of values than 4", "start from another checkpoint");
    scores.resize(4);
    score_ = scores[0];
    best_score_ = scores[1];
    n_checks_ = static_cast<std::int64_t>(scores[2]);
    n_worse_ = static_cast<std::int64_t>(scores[3]);
  }
  if (n_checks_ == 0) return;
  best_.resize(twist.parameters().size());
  for (std::size_t i = 0; i < best_.size(); ++i) {
    const twist::Parameter& p = twist.parameters()[i];
    if (!visitor.is_restoring()) {
      visitor.save("holdout_best", p, best_[i]);
      continue;
    }
    const std::span<const float> saved = visitor.saved("holdout_best", p);
    best_[i].assign(saved.begin(), saved.end());
  }
}

}  // namespace twistor::learn
