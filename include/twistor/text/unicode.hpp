// SPDX-License-Identifier: Apache-2.0
// The few Unicode classes that pre-tokenizers ask for.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "twistor/base/utf8.hpp"

namespace twistor::text {

// The classes are those of the reference library tokenizers 0.23 for every code point: Unicode 16, except
// where a function says otherwise.

/// What the patterns of byte-level pre-tokenizers tell apart; every code point has exactly one.
enum class CharClass : unsigned char {
  letter,  ///< general category L*
  number,  ///< general category N*
  space,   ///< property White_Space
  other,   ///< everything else, invalid bytes included
};
[[nodiscard]] CharClass char_class(CodePoint point);

/// The end of the white space that begins at byte `at`, or `at`; and the begin of that which ends at byte
/// `end` and begins at `first` or later.
[[nodiscard]] std::size_t white_space_end(std::string_view text, std::size_t at);
[[nodiscard]] std::size_t white_space_begin(std::string_view text, std::size_t end, std::size_t first = 0);

/// \w of Unicode regular expressions (UTS #18, Annex C): alphabetic, marks, decimal digits, connectors,
/// joiners.
[[nodiscard]] bool is_word_char(CodePoint point);

/// General category M*.
[[nodiscard]] bool is_mark(CodePoint point);

/// What the pre-tokenizer Digits cuts out: general category N* of Unicode 17.
[[nodiscard]] bool is_digit_or_number(CodePoint point);

/// What the pre-tokenizers Punctuation and BertPreTokenizer cut out: ASCII punctuation and symbols, and
/// general category P* of Unicode 7, which is what the reference has there.
[[nodiscard]] bool is_punctuation(CodePoint point);

/// Replaces every code point by what `append(out, value)` writes; invalid bytes stay.
template <class Append>
void rewrite_code_points(std::string& text, Append append) {
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = next_code_point(text, at);
    if (point.is_valid)
      append(out, point.value);
    else
      out += text[at];
    at += point.size;
  }
  text = std::move(out);
}

}  // namespace twistor::text
