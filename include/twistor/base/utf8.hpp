// SPDX-License-Identifier: Apache-2.0
// UTF-8, one code point at a time; it must survive any bytes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace twistor {

/// One step through a text. An invalid byte is a step of its own: size 1, is_valid false, value the byte.
struct CodePoint {
  char32_t value = 0;
  std::size_t size = 1;  ///< bytes
  bool is_valid = true;
};

/// The code point at byte `at` < text.size(). Overlong forms, surrogates and values above U+10FFFF are
/// invalid.
[[nodiscard]] CodePoint next_code_point(std::string_view text, std::size_t at);

/// The code point that ends just before byte `end` > 0 of a text.
[[nodiscard]] CodePoint last_code_point(std::string_view text, std::size_t end);

/// Appends the UTF-8 of a code point below 0x110000.
void append_utf8(std::string& out, char32_t value);

}  // namespace twistor
