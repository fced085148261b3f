// SPDX-License-Identifier: Apache-2.0
// Counting, discounts and interpolation of the n-gram models.
#include "make_tiny/ngram.hpp"

#include <cmath>

#include "make_tiny/grammar.hpp"
#include "twistor/base/error.hpp"

namespace twistor::tiny {
namespace {

constexpr std::uint64_t bits_per_word = 6;

/// The n words that end at position i, packed; positions before the story hold the end token.
std::uint64_t pack(std::span<const std::int64_t> story, std::int64_t i, std::int64_t n) {
  std::uint64_t key = 0;
  for (std::int64_t j = i - n + 1; j <= i; ++j) {
    const std::int64_t word = j < 0 ? end_id : story[static_cast<std::size_t>(j)];
    key = (key << bits_per_word) | static_cast<std::uint64_t>(word);
  }
  return key;
}

}  // namespace

NGramModel::NGramModel(std::int64_t order, std::int64_t vocabulary)
    : vocabulary_(vocabulary), orders_(static_cast<std::size_t>(order)) {
  TWISTOR_ASSERT(order >= 1 && order <= 10 && vocabulary <= 64, "n-grams are packed into 64 bits");
}

void NGramModel::count(std::span<const std::int64_t> story) {
  const auto order = static_cast<std::int64_t>(orders_.size());
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(story.size()); ++i)
    ++orders_.back().counts[pack(story, i, order)];
}

void NGramModel::finish() {
  // Below the highest order a word counts once for every different word that was seen in front.
  for (std::size_t n = orders_.size(); n-- > 1;) {
    const std::uint64_t mask = (std::uint64_t{1} << (bits_per_word * n)) - 1;
    for (const auto& [key, count] : orders_[n].counts) ++orders_[n - 1].counts[key & mask];
  }
  for (Order& order : orders_) {
    double once = 0, twice = 0;
    for (const auto& [key, count] : order.counts) {
      Context& context = order.contexts[key >> bits_per_word];
      context.total += static_cast<double>(count);
      context.types += 1;
      once += count == 1 ? 1 : 0;
      twice += count == 2 ? 1 : 0;
    }
    order.discount = once > 0 ? once / (once + 2 * twice) : 0.5;
  }
}

double NGramModel::log_prob(std::span<const std::int64_t> story, std::int64_t i) const {
  double p = 1.0 / static_cast<double>(vocabulary_);
  for (std::size_t n = 0; n < orders_.size(); ++n) {
    const std::uint64_t key = pack(story, i, static_cast<std::int64_t>(n) + 1);
    const auto context = orders_[n].contexts.find(key >> bits_per_word);
    if (context == orders_[n].contexts.end()) break;
    const auto at = orders_[n].counts.find(key);
    const double count = at == orders_[n].counts.end() ? 0.0 : static_cast<double>(at->second);
    const double discount = orders_[n].discount;
    p = (std::max(count - discount, 0.0) + discount * context->second.types * p) / context->second.total;
  }
  return std::log(p);
}

}  // namespace twistor::tiny
