// UTF-8 and the few Unicode classes that pre-tokenizers ask for.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace twistor::text {

/// One step through a text. An invalid byte is a step of its own: size 1, is_valid false, value the byte.
struct CodePoint {
  char32_t value = 0;
  std::size_t size = 1;  ///< bytes
  bool is_valid = true;
};

/// The code point at byte `at` < text.size(). Overlong forms, surrogates and values above U+10FFFF are
/// invalid.
[[nodiscard]] CodePoint next_code_point(std::string_view text, std::size_t at);

/// Appends the UTF-8 of a code point below 0x110000.
void append_utf8(std::string& out, char32_t value);

/// What the patterns of byte-level pre-tokenizers tell apart; every code point has exactly one.
enum class CharClass : unsigned char {
  letter,  ///< general category L*
  number,  ///< general category N*
  space,   ///< property White_Space
  other,   ///< everything else, invalid bytes included
};
[[nodiscard]] CharClass char_class(CodePoint point);

/// \w of Unicode regular expressions (UTS #18, Annex C): alphabetic, marks, decimal digits, connectors,
/// joiners.
[[nodiscard]] bool is_word_char(CodePoint point);

}  // namespace twistor::text
