// SPDX-License-Identifier: Apache-2.0
// The contains potential: matching token patterns, and making them from words.
#include "contains.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "twistor/base/error.hpp"

namespace twistor::potential {
namespace {

constexpr const char* making_contains = "making the potential 'contains'";

/// A word's tokens, bare and after a space: vocabularies of byte pairs keep the space in the token.
void add_patterns(const std::string& word, const text::Tokenizer& tokenizer,
                  std::vector<std::vector<std::int64_t>>& patterns) {
  for (const std::string& form : {word, " " + word}) {
    auto ids = tokenizer.encode(form);
    TWISTOR_CHECK(!ids.empty() && tokenizer.decode(ids).find(word) != std::string::npos, ErrorKind::config,
                  making_contains, fmt::format("the vocabulary cannot spell '{}' of target.words", word),
                  "check the spelling, or list token ids in target.ids");
    patterns.push_back(std::move(ids));
  }
}

}  // namespace

ContainsPotential::ContainsPotential(std::vector<std::vector<std::int64_t>> patterns, double log_floor)
    : patterns_(std::move(patterns)), log_floor_(log_floor) {
  TWISTOR_CHECK(!patterns_.empty(), ErrorKind::config, making_contains, "there is nothing to look for",
                "set target.words or target.ids");
  for (const auto& pattern : patterns_)
    TWISTOR_CHECK(!pattern.empty(), ErrorKind::config, making_contains, "a pattern has no tokens");
  TWISTOR_CHECK(log_floor <= 0, ErrorKind::config, making_contains,
                fmt::format("target.log_floor is {} (expected at most 0; -inf is allowed)", log_floor));
  std::sort(patterns_.begin(), patterns_.end());
  patterns_.erase(std::unique(patterns_.begin(), patterns_.end()), patterns_.end());
}

std::vector<double> ContainsPotential::log_phi(const Sequences& sequences) const {
  const auto T = static_cast<std::size_t>(sequences.length);
  const auto n = static_cast<std::size_t>(sequences.size());
  std::vector<double> result(n, log_floor_);
  for (std::size_t i = 0; i < n; ++i) {
    const auto s = sequences.tokens.subspan(i * T, T);
    for (const auto& pattern : patterns_) {
      const auto found = pattern.size() == 1
                             ? std::find(s.begin(), s.end(), pattern.front())
                             : std::search(s.begin(), s.end(), pattern.begin(), pattern.end());
      if (found == s.end()) continue;
      result[i] = 0;
      break;
    }
  }
  return result;
}

std::string ContainsPotential::description() const {
  return fmt::format("contains: 1 if one of {} token patterns occurs, else exp({})", patterns_.size(),
                     log_floor_);
}

std::optional<model::TokenAutomaton> ContainsPotential::automaton(std::span<const std::int64_t>,
                                                                  std::int64_t vocab_size) const {
  return model::automaton_of_patterns(patterns_, vocab_size, log_floor_);
}

std::unique_ptr<Potential> make_contains(const PotentialOptions& options, const TargetContext& context) {
  TWISTOR_CHECK(options.beta > 0, ErrorKind::config, making_contains,
                fmt::format("target.beta is {} (expected a positive number)", options.beta));
  std::vector<std::vector<std::int64_t>> patterns;
  for (const std::int64_t id : options.ids) {
    TWISTOR_CHECK(id >= 0 && (context.vocab_size() == 0 || id < context.vocab_size()), ErrorKind::config,
                  making_contains,
                  fmt::format("token {} of target.ids is out of range (expected 0 to {})", id,
                              context.vocab_size() - 1));
    patterns.push_back({id});
  }
  const auto words = words_of(options.words);
  TWISTOR_CHECK(words.empty() || context.tokenizer != nullptr, ErrorKind::config, making_contains,
                "target.words needs a tokenizer, and the model has none", "give target.ids instead");
  for (const std::string& word : words) add_patterns(word, *context.tokenizer, patterns);
  return std::make_unique<ContainsPotential>(std::move(patterns), options.beta * options.log_floor);
}

}  // namespace twistor::potential
