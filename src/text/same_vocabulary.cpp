// SPDX-License-Identifier: Apache-2.0
// Comparing vocabularies token by token.
#include "twistor/text/same_vocabulary.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "twistor/format/quote.hpp"

namespace twistor::text {

std::string first_difference(const Tokenizer& first, const Tokenizer& second) {
  const auto words = [](const std::optional<std::string>& token) {
    return token ? format::quote(*token) : std::string("none");
  };
  const std::int64_t n = std::max(first.vocab_size(), second.vocab_size());
  for (std::int64_t id = 0; id < n; ++id) {
    const std::optional<std::string> a = first.spelling_of(id), b = second.spelling_of(id);
    if (a != b)
      return fmt::format("token {} is {} in the first and {} in the second", id, words(a), words(b));
  }
  return {};
}

}  // namespace twistor::text
