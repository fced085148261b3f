// SPDX-License-Identifier: Apache-2.0
// Plain sums over all sequences, goodness of fit, and a toy tokenizer: what the tests of this room hold
// results against.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "twistor/model/tabular.hpp"
#include "twistor/potential/potential.hpp"
#include "twistor/text/tokenizer.hpp"

namespace twistor::potential {

using Tokens = std::vector<std::int64_t>;

/// All V^T sequences in lexicographic order.
inline std::vector<Tokens> all_sequences(std::int64_t V, std::int64_t T) {
  std::vector<Tokens> all = {{}};
  for (std::int64_t t = 0; t < T; ++t) {
    std::vector<Tokens> longer;
    for (const Tokens& s : all)
      for (std::int64_t v = 0; v < V; ++v) {
        longer.push_back(s);
        longer.back().push_back(v);
      }
    all = std::move(longer);
  }
  return all;
}

/// log p0(s | prompt), straight from the table.
inline double log_p0(const model::TabularModel& lm, Tokens prompt, const Tokens& s) {
  double sum = 0;
  for (const std::int64_t token : s) {
    sum += lm.log_probs(prompt)[static_cast<std::size_t>(token)];
    prompt.push_back(token);
  }
  return sum;
}

inline double log_phi_of(const Potential& potential, const Tokens& prompt, const Tokens& s) {
  return potential.log_phi({prompt, s, static_cast<std::int64_t>(s.size())}).front();
}

/// Pearson's statistic as a standard normal deviate (Wilson and Hilferty 1931). Cells expected below 5 are
/// pooled; a count where nothing is expected gives infinity.
inline double chi_square_z(const std::vector<double>& counts, const std::vector<double>& probabilities) {
  double n = 0;
  for (const double count : counts) n += count;
  double statistic = 0, pooled_count = 0, pooled_expected = 0;
  int cells = 0;
  const auto add = [&](double count, double expected) {
    statistic += (count - expected) * (count - expected) / expected;
    ++cells;
  };
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (probabilities[i] == 0 && counts[i] > 0) return INFINITY;
    if (n * probabilities[i] >= 5) {
      add(counts[i], n * probabilities[i]);
    } else {
      pooled_count += counts[i];
      pooled_expected += n * probabilities[i];
    }
  }
  if (pooled_expected > 0) add(pooled_count, pooled_expected);
  const double df = cells - 1;
  return (std::cbrt(statistic / df) - (1 - 2 / (9 * df))) / std::sqrt(2 / (9 * df));
}

/// A chi-square test with fixed seed is exceeded by chance once in about 3 million.
inline constexpr double chi_square_limit = 5.0;

/// A potential given by a function of one sequence.
class FunctionPotential final : public Potential {
 public:
  FunctionPotential(std::function<double(const Tokens&)> log_phi, double bound)
      : log_phi_(std::move(log_phi)), bound_(bound) {}
  std::vector<double> log_phi(const Sequences& sequences) const override {
    std::vector<double> result;
    for (std::int64_t i = 0; i < sequences.size(); ++i) {
      const auto begin = sequences.tokens.begin() + static_cast<std::ptrdiff_t>(i * sequences.length);
      result.push_back(log_phi_(Tokens(begin, begin + static_cast<std::ptrdiff_t>(sequences.length))));
    }
    return result;
  }
  double log_phi_bound() const override { return bound_; }
  std::string description() const override { return "a function"; }

 private:
  std::function<double(const Tokens&)> log_phi_;
  double bound_;
};

/// Greedy longest match over a short list of pieces; what no piece spells becomes piece 0, "?".
class ToyTokenizer : public text::Tokenizer {
 public:
  explicit ToyTokenizer(std::vector<std::string> pieces) : pieces_(std::move(pieces)) {}
  std::int64_t vocab_size() const override { return static_cast<std::int64_t>(pieces_.size()); }
  Tokens encode(std::string_view text) const override {
    Tokens ids;
    while (!text.empty()) {
      std::size_t best = 0;
      for (std::size_t i = 1; i < pieces_.size(); ++i)
        if (text.starts_with(pieces_[i]) && (best == 0 || pieces_[i].size() > pieces_[best].size())) best = i;
      ids.push_back(static_cast<std::int64_t>(best));
      text.remove_prefix(best == 0 ? 1 : pieces_[best].size());
    }
    return ids;
  }
  text::Encoding encode_with_template(std::string_view text, std::int64_t) const override {
    text::Encoding out{encode(text), {}};
    out.type_ids.resize(out.ids.size());
    return out;
  }
  std::string decode(std::span<const std::int64_t> ids) const override {
    std::string text;
    for (const std::int64_t id : ids) text += pieces_.at(static_cast<std::size_t>(id));
    return text;
  }
  std::optional<std::int64_t> token_to_id(std::string_view) const override { return std::nullopt; }
  std::vector<std::int64_t> end_ids() const override { return {}; }
  std::string description() const override { return "toy"; }

 private:
  std::vector<std::string> pieces_;
};

}  // namespace twistor::potential
