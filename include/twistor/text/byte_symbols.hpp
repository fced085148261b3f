// SPDX-License-Identifier: Apache-2.0
// Bytes spelled as printable characters, the alphabet of byte-level vocabularies (Radford et al. 2019).
#pragma once

#include <string>
#include <string_view>

namespace twistor::text {

/// The UTF-8 of the character that stands for a byte: printable Latin-1 stands for itself, the other 68 bytes
/// for U+0100 and on, in order. *Local.*
[[nodiscard]] const std::string& symbol_of_byte(unsigned char byte);

/// The byte that a character stands for, -1 if for none.
[[nodiscard]] int byte_of_symbol(char32_t symbol);

/// Every byte of a text by its symbol.
[[nodiscard]] std::string spell_bytes(std::string_view text);

}  // namespace twistor::text
