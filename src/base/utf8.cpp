// SPDX-License-Identifier: Apache-2.0
// UTF-8 decoded by hand: it must survive any bytes.
#include "twistor/base/utf8.hpp"

#include <algorithm>

namespace twistor {

CodePoint next_code_point(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(at);
  if (lead < 0x80) return {lead, 1, true};
  const CodePoint invalid{lead, 1, false};
  std::size_t size = 0;
  char32_t value = 0;
  char32_t smallest = 0;
  if (lead >= 0xc2 && lead <= 0xdf) {
    size = 2, value = lead & 0x1fu, smallest = 0x80;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    size = 3, value = lead & 0x0fu, smallest = 0x800;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    size = 4, value = lead & 0x07u, smallest = 0x10000;
  } else {
    return invalid;
  }
  if (text.size() - at < size) return invalid;
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(at + i) & 0xc0u) != 0x80u) return invalid;
    value = (value << 6) | (byte(at + i) & 0x3fu);
  }
  const bool is_surrogate = value >= 0xd800 && value <= 0xdfff;
  if (value < smallest || value > 0x10ffff || is_surrogate) return invalid;
  return {value, size, true};
}

CodePoint last_code_point(std::string_view text, std::size_t end) {
  for (std::size_t size = std::min<std::size_t>(4, end); size > 1; --size) {
    const CodePoint point = next_code_point(text.substr(0, end), end - size);
    if (point.is_valid && point.size == size) return point;
  }
  return next_code_point(text.substr(0, end), end - 1);
}

void append_utf8(std::string& out, char32_t value) {
  const auto push = [&](char32_t byte) { out += static_cast<char>(static_cast<unsigned char>(byte)); };
  if (value < 0x80) {
    push(value);
  } else if (value < 0x800) {
    push(0xc0 | (value >> 6));
    push(0x80 | (value & 0x3f));
  } else if (value < 0x10000) {
    push(0xe0 | (value >> 12));
    push(0x80 | ((value >> 6) & 0x3f));
    push(0x80 | (value & 0x3f));
  } else {
    push(0xf0 | (value >> 18));
    push(0x80 | ((value >> 12) & 0x3f));
    push(0x80 | ((value >> 6) & 0x3f));
    push(0x80 | (value & 0x3f));
  }
}

}  // namespace twistor
