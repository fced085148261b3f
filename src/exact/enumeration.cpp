// SPDX-License-Identifier: Apache-2.0
// Enumeration: depth-first over chunks of prefixes, breadth within a chunk.
#include "twistor/exact/enumeration.hpp"

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/base/reproducible_sum.hpp"
#include "twistor/model/log_prob.hpp"
#include "twistor/model/prefill.hpp"

namespace twistor::exact {
namespace {

constexpr std::size_t block = 256;  // sequences between two entries of the cumulative weights

std::uint64_t power(std::uint64_t base, std::int64_t exponent) {
  std::uint64_t result = 1;
  for (std::int64_t i = 0; i < exponent; ++i) result *= base;
  return result;
}

/// Throws unless V^T <= limit.
void check_size(std::int64_t vocab_size, std::int64_t T, std::int64_t limit) {
  TWISTOR_CHECK(T >= 1, ErrorKind::usage, "enumerating the target",
                fmt::format("T is {} (expected at least 1)", T));
  TWISTOR_CHECK(limit >= 1 && limit <= (std::int64_t{1} << 32), ErrorKind::usage, "enumerating the target",
                fmt::format("the limit is {} (expected 1 to 2^32)", limit));
  std::int64_t n = 1;
  for (std::int64_t t = 0; t < T && vocab_size > 1; ++t) {
    TWISTOR_CHECK(n <= limit / vocab_size, ErrorKind::config, "enumerating the target",
                  fmt::format("{}^{} sequences are more than the limit of {}", vocab_size, T, limit),
                  "shorten target.length, or take exact samples by rejection");
    n *= vocab_size;
  }
}

/// Writes the digits of a code, T of them, to `out`.
void write_digits(std::uint64_t code, std::int64_t vocab_size, std::span<std::int64_t> out) {
  const auto base = static_cast<std::uint64_t>(vocab_size);
  for (std::size_t t = out.size(); t-- > 0; code /= base) out[t] = static_cast<std::int64_t>(code % base);
}

/// Prefixes of one length that are expanded together.
struct Prefixes {
  std::unique_ptr<model::Cache> cache;
  at::Tensor hidden;                 // (n, D)
  std::vector<std::uint64_t> codes;  // (n)
  std::vector<double> log_p0;        // (n)
};

}  // namespace

class Enumerator {
 public:
  Enumerator(const model::LanguageModel& lm, const potential::Potential& potential,
             std::span<const std::int64_t> prompt, std::int64_t T, const EnumerationOptions& options)
      : lm_(lm),
        potential_(potential),
        prompt_(prompt),
        V_(lm.vocab_size()),
        n_together_(options.n_together),
        steering_(options.steering) {
    // Rows of V probabilities are held for all prefixes of a chunk: about a megabyte of them.
    if (n_together_ <= 0) n_together_ = std::clamp<std::int64_t>((1 << 17) / V_, 1, 1024);
    result_.vocab_size_ = V_;
    result_.length_ = T;
    result_.has_twists_ = options.keep_twists;
    if (options.keep_twists)
      for (std::int64_t t = 0; t < T; ++t)
        result_.log_p0_.emplace_back(power(static_cast<std::uint64_t>(V_), t), log_zero);
  }

  Enumeration run() {
    model::Prefill prompt = model::prefill(lm_, prompt_);
    expand({std::move(prompt.cache), std::move(prompt.hidden), {0}, {0.0}}, 0);
    result_.log_z_ = sum_.log();
    result_.finish();
    return std::move(result_);
  }

 private:
  /// Goes through everything below these prefixes of t tokens.
  void expand(const Prefixes& prefixes, std::int64_t t) {
    if (result_.has_twists_)
      for (std::size_t i = 0; i < prefixes.codes.size(); ++i)
        result_.log_p0_[static_cast<std::size_t>(t)][prefixes.codes[i]] = prefixes.log_p0[i];
    const auto rows = model::log_prob_rows(lm_, prefixes.hidden);
    const bool is_last = t + 1 == result_.length_;
    const auto V = static_cast<std::size_t>(V_);
    std::vector<std::int64_t> parents;
    std::vector<std::int64_t> tokens;
    Prefixes children;
    for (std::size_t j = 0; j < rows.size() && result_.is_complete_; ++j) {
      if (rows[j] > log_zero) {
        parents.push_back(static_cast<std::int64_t>(j / V));
        tokens.push_back(static_cast<std::int64_t>(j % V));
        children.codes.push_back(prefixes.codes[j / V] * V + j % V);
        children.log_p0.push_back(prefixes.log_p0[j / V] + rows[j]);
      }
      const bool is_full = !is_last && static_cast<std::int64_t>(tokens.size()) == n_together_;
      if ((!is_full && j + 1 < rows.size()) || tokens.empty()) continue;
      if (is_last) {
        weigh(children);
      } else {
        children.cache = prefixes.cache->fork();
        children.cache->select(parents);
        children.hidden = lm_.forward(tokens, *children.cache).select(1, 0);
        expand(children, t + 1);
      }
      children = {};
      parents.clear();
      tokens.clear();
    }
  }

  /// Complete sequences: their potential, and those of positive weight kept.
  void weigh(const Prefixes& leaves) {
    const auto T = static_cast<std::size_t>(result_.length_);
    std::vector<std::int64_t> tokens(leaves.codes.size() * T);
    for (std::size_t i = 0; i < leaves.codes.size(); ++i)
      write_digits(leaves.codes[i], V_, std::span(tokens).subspan(i * T, T));
    const auto log_phi = potential_.log_phi({prompt_, tokens, result_.length_});
    for (std::size_t i = 0; i < leaves.codes.size(); ++i) {
      const double log_w = leaves.log_p0[i] + log_phi[i];
      if (!(log_w > log_zero)) continue;
      sum_.add(log_w);
      result_.codes_.push_back(static_cast<std::uint32_t>(leaves.codes[i]));
      result_.log_w_.push_back(log_w);
      if (result_.has_twists_) result_.log_p0_leaves_.push_back(leaves.log_p0[i]);
    }
    // Sequences come in lexicographic order: the last one says how many are behind us.
    steering_.observe("sequences", static_cast<std::int64_t>(leaves.codes.back()) + 1,
                      static_cast<std::int64_t>(power(static_cast<std::uint64_t>(V_), result_.length_)));
    if (is_interrupted(steering_.interrupt)) result_.is_complete_ = false;
  }

  const model::LanguageModel& lm_;
  const potential::Potential& potential_;
  std::span<const std::int64_t> prompt_;
  std::int64_t V_;
  std::int64_t n_together_;
  const Steering& steering_;
  LogSum sum_;
  Enumeration result_;
};

Enumeration enumerate(const model::LanguageModel& lm, const potential::Potential& potential,
                      std::span<const std::int64_t> prompt, std::int64_t T,
                      const EnumerationOptions& options) {
  check_size(lm.vocab_size(), T, options.limit);
  return Enumerator(lm, potential, prompt, T, options).run();
}

void Enumeration::finish() {
  double total = 0;
  for (std::size_t i = 0; i < log_w_.size(); ++i) {
    total += std::exp(log_w_[i] - log_z_);
    if ((i + 1) % block == 0 || i + 1 == log_w_.size()) cumulative_.push_back(total);
  }
}

std::vector<std::int64_t> Enumeration::sequence(std::int64_t i) const {
  std::vector<std::int64_t> s(static_cast<std::size_t>(length_));
  write_digits(codes_[static_cast<std::size_t>(i)], vocab_size_, s);
  return s;
}

std::vector<std::int64_t> Enumeration::draw(std::uint64_t seed, std::int64_t index) const {
  TWISTOR_CHECK(!codes_.empty(), ErrorKind::data, "drawing from the enumerated target",
                "Z is 0: the potential is -inf for every sequence",
                "loosen the potential or set target.log_floor");
  Philox random(seed, Stream::enumeration, 0, static_cast<std::uint64_t>(index));
  const double wanted = random.uniform() * cumulative_.back();
  const auto at = std::upper_bound(cumulative_.begin(), cumulative_.end() - 1, wanted) - cumulative_.begin();
  const std::size_t begin = static_cast<std::size_t>(at) * block;
  const std::size_t end = std::min(begin + block, codes_.size());
  double cumulative = at == 0 ? 0 : cumulative_[static_cast<std::size_t>(at) - 1];
  for (std::size_t i = begin; i < end; ++i) {
    cumulative += std::exp(log_w_[i] - log_z_);
    if (cumulative > wanted) return sequence(static_cast<std::int64_t>(i));
  }
  return sequence(static_cast<std::int64_t>(end) - 1);
}

std::uint64_t Enumeration::code_of(std::span<const std::int64_t> prefix) const {
  std::uint64_t code = 0;
  for (const std::int64_t token : prefix) {
    TWISTOR_CHECK(token >= 0 && token < vocab_size_, ErrorKind::usage, "looking up an enumerated sequence",
                  fmt::format("token {} is out of range (expected 0 to {})", token, vocab_size_ - 1));
    code = code * static_cast<std::uint64_t>(vocab_size_) + static_cast<std::uint64_t>(token);
  }
  return code;
}

double Enumeration::log_sigma(std::span<const std::int64_t> s) const {
  TWISTOR_CHECK(static_cast<std::int64_t>(s.size()) == length_, ErrorKind::usage,
                "looking up an enumerated sequence",
                fmt::format("it has {} tokens (expected {})", s.size(), length_));
  const std::uint64_t code = code_of(s);
  const auto found = std::lower_bound(codes_.begin(), codes_.end(), code);
  if (found == codes_.end() || *found != code) return log_zero;
  return log_w_[static_cast<std::size_t>(found - codes_.begin())] - log_z_;
}

double Enumeration::log_optimal_twist(std::span<const std::int64_t> prefix) const {
  TWISTOR_CHECK(has_twists_, ErrorKind::usage, "looking up an optimal twist",
                "the enumeration was made without them (set keep_twists)");
  const auto t = static_cast<std::int64_t>(prefix.size());
  TWISTOR_CHECK(t <= length_, ErrorKind::usage, "looking up an optimal twist",
                fmt::format("the prefix has {} tokens (expected at most {})", t, length_));
  if (t == 0) return log_z_;
  const std::uint64_t code = code_of(prefix);
  const std::uint64_t n_below = power(static_cast<std::uint64_t>(vocab_size_), length_ - t);
  const auto begin = std::lower_bound(codes_.begin(), codes_.end(), code * n_below) - codes_.begin();
  const auto end = std::lower_bound(codes_.begin(), codes_.end(), (code + 1) * n_below) - codes_.begin();
  if (begin == end) return log_zero;
  const std::span<const double> below(log_w_.begin() + begin, log_w_.begin() + end);
  const double log_p0 = t == length_ ? log_p0_leaves_[static_cast<std::size_t>(begin)]
                                     : log_p0_[static_cast<std::size_t>(t)][code];
  return log_sum_exp(below) - log_p0;
}

}  // namespace twistor::exact
