// SPDX-License-Identifier: Apache-2.0
// The table of byte symbols, both ways.
#include "twistor/text/byte_symbols.hpp"

#include <array>

#include "twistor/text/unicode.hpp"

namespace twistor::text {
namespace {

constexpr char32_t first_stand_in = 0x100;

constexpr bool stands_for_itself(char32_t byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
}

struct Table {
  std::array<std::string, 256> symbols;
  std::array<int, 0x200> bytes{};
  Table() {
    bytes.fill(-1);
    char32_t next = first_stand_in;
    for (char32_t byte = 0; byte < 256; ++byte) {
      const char32_t symbol = stands_for_itself(byte) ? byte : next++;
      append_utf8(symbols[byte], symbol);
      bytes[symbol] = static_cast<int>(byte);
    }
  }
};

const Table& table() {
  static const Table made;
  return made;
}

}  // namespace

const std::string& symbol_of_byte(unsigned char byte) {
  return table().symbols[byte];
}

int byte_of_symbol(char32_t symbol) {
  return symbol < table().bytes.size() ? table().bytes[symbol] : -1;
}

std::string spell_bytes(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 4);
  for (const char c : text) out += symbol_of_byte(static_cast<unsigned char>(c));
  return out;
}

}  // namespace twistor::text
