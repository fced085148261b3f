// UTF-8 decoding by hand (it must survive any bytes) and classes from utf8proc's tables.
#include "twistor/text/unicode.hpp"

#include <utf8proc.h>

#include <array>

namespace twistor::text {
namespace {

CharClass class_of_value(char32_t value) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(value))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return CharClass::letter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return CharClass::number;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return CharClass::space;
    default:
      // White_Space is Z* and these controls (PropList.txt); U+001C..U+001F are not in it.
      return (value >= 0x09 && value <= 0x0d) || value == 0x85 ? CharClass::space : CharClass::other;
  }
}

std::array<CharClass, 128> make_ascii_classes() {
  std::array<CharClass, 128> table{};
  for (char32_t value = 0; value < 128; ++value) table[value] = class_of_value(value);
  return table;
}

// Code points that are Alphabetic without being letters, marks or numbers: circled and squared Latin letters.
bool is_enclosed_letter(char32_t value) {
  return (value >= 0x24b6 && value <= 0x24e9) || (value >= 0x1f130 && value <= 0x1f149) ||
         (value >= 0x1f150 && value <= 0x1f169) || (value >= 0x1f170 && value <= 0x1f189);
}

}  // namespace

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

CharClass char_class(CodePoint point) {
  static const std::array<CharClass, 128> ascii = make_ascii_classes();
  if (!point.is_valid) return CharClass::other;
  return point.value < 128 ? ascii[point.value] : class_of_value(point.value);
}

bool is_word_char(CodePoint point) {
  if (!point.is_valid) return false;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(point.value))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return point.value == 0x200c || point.value == 0x200d || is_enclosed_letter(point.value);
  }
}

}  // namespace twistor::text
