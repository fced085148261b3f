// SPDX-License-Identifier: Apache-2.0
// Unicode classes from utf8proc's tables.
#include "twistor/text/unicode.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "twistor/text/unicode_ranges.hpp"

namespace twistor::text {
namespace {

// Assigned in Unicode 15.1 and 16, which the system's utf8proc may not know yet; asked only where it knows
// nothing.
constexpr std::array new_letters{
    Range{0x1c89, 0x1c8a},   Range{0xa7cb, 0xa7cd},   Range{0xa7da, 0xa7dc},   Range{0x105c0, 0x105f3},
    Range{0x10d4a, 0x10d65}, Range{0x10d6f, 0x10d85}, Range{0x10ec2, 0x10ec4}, Range{0x11380, 0x11389},
    Range{0x1138b, 0x1138b}, Range{0x1138e, 0x1138e}, Range{0x11390, 0x113b5}, Range{0x113b7, 0x113b7},
    Range{0x113d1, 0x113d1}, Range{0x113d3, 0x113d3}, Range{0x11bc0, 0x11be0}, Range{0x13460, 0x143fa},
    Range{0x16100, 0x1611d}, Range{0x16d40, 0x16d6c}, Range{0x18cff, 0x18cff}, Range{0x1e5d0, 0x1e5ed},
    Range{0x1e5f0, 0x1e5f0}, Range{0x2ebf0, 0x2ee5d}};
constexpr std::array new_marks{Range{0x897, 0x897},     Range{0x10d69, 0x10d6d}, Range{0x10efc, 0x10efc},
                               Range{0x113b8, 0x113c0}, Range{0x113c2, 0x113c2}, Range{0x113c5, 0x113c5},
                               Range{0x113c7, 0x113ca}, Range{0x113cc, 0x113d0}, Range{0x113d2, 0x113d2},
                               Range{0x113e1, 0x113e2}, Range{0x11f5a, 0x11f5a}, Range{0x1611e, 0x1612f},
                               Range{0x1e5ee, 0x1e5ef}};
constexpr std::array new_numbers{Range{0x10d40, 0x10d49}, Range{0x116d0, 0x116e3}, Range{0x11bf0, 0x11bf9},
                                 Range{0x16130, 0x16139}, Range{0x16d70, 0x16d79}, Range{0x1ccf0, 0x1ccf9},
                                 Range{0x1e5f1, 0x1e5fa}};
// Numbers that came with Unicode 17.
constexpr std::array newest_numbers{Range{0x11de0, 0x11de9}, Range{0x16ff4, 0x16ff6}};
// Punctuation that came after Unicode 7.
constexpr std::array later_punctuation{
    Range{0x61d, 0x61d},     Range{0x9fd, 0x9fd},     Range{0xa76, 0xa76},     Range{0xc77, 0xc77},
    Range{0xc84, 0xc84},     Range{0x1b4e, 0x1b4f},   Range{0x1b7d, 0x1b7f},   Range{0x2e43, 0x2e4f},
    Range{0x2e52, 0x2e5d},   Range{0x10d6e, 0x10d6e}, Range{0x10ead, 0x10ead}, Range{0x10f55, 0x10f59},
    Range{0x10f86, 0x10f89}, Range{0x113d4, 0x113d5}, Range{0x113d7, 0x113d8}, Range{0x1144b, 0x1144f},
    Range{0x1145a, 0x1145b}, Range{0x1145d, 0x1145d}, Range{0x11660, 0x1166c}, Range{0x116b9, 0x116b9},
    Range{0x1183b, 0x1183b}, Range{0x11944, 0x11946}, Range{0x119e2, 0x119e2}, Range{0x11a3f, 0x11a46},
    Range{0x11a9a, 0x11a9c}, Range{0x11a9e, 0x11aa2}, Range{0x11b00, 0x11b09}, Range{0x11be1, 0x11be1},
    Range{0x11c41, 0x11c45}, Range{0x11c70, 0x11c71}, Range{0x11ef7, 0x11ef8}, Range{0x11f43, 0x11f4f},
    Range{0x11fff, 0x11fff}, Range{0x12ff1, 0x12ff2}, Range{0x16d6d, 0x16d6f}, Range{0x16e97, 0x16e9a},
    Range{0x16fe2, 0x16fe2}, Range{0x1e5ff, 0x1e5ff}, Range{0x1e95e, 0x1e95f}};

utf8proc_category_t category_of(char32_t value) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(value));
  if (category != UTF8PROC_CATEGORY_CN) return category;
  if (is_in(new_letters, value)) return UTF8PROC_CATEGORY_LO;
  if (is_in(new_marks, value)) return UTF8PROC_CATEGORY_MN;
  if (is_in(new_numbers, value)) return UTF8PROC_CATEGORY_ND;
  return category;
}

CharClass class_of_value(char32_t value) {
  switch (category_of(value)) {
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

CharClass char_class(CodePoint point) {
  static const std::array<CharClass, 128> ascii = make_ascii_classes();
  if (!point.is_valid) return CharClass::other;
  return point.value < 128 ? ascii[point.value] : class_of_value(point.value);
}

std::size_t white_space_end(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    const CodePoint point = next_code_point(text, at);
    if (char_class(point) != CharClass::space) break;
    at += point.size;
  }
  return at;
}

std::size_t white_space_begin(std::string_view text, std::size_t end, std::size_t first) {
  while (end > first) {
    const CodePoint point = last_code_point(text, end);
    if (char_class(point) != CharClass::space) break;
    end -= point.size;
  }
  return end;
}

bool is_word_char(CodePoint point) {
  if (!point.is_valid) return false;
  switch (category_of(point.value)) {
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

bool is_mark(CodePoint point) {
  if (!point.is_valid || point.value < 0x300) return false;
  const auto category = category_of(point.value);
  return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
         category == UTF8PROC_CATEGORY_ME;
}

bool is_digit_or_number(CodePoint point) {
  return char_class(point) == CharClass::number || (point.is_valid && is_in(newest_numbers, point.value));
}

bool is_punctuation(CodePoint point) {
  if (!point.is_valid) return false;
  if (point.value < 0x80)
    return point.value > 0x20 && point.value < 0x7f && char_class(point) == CharClass::other;
  // Two that were punctuation then and are not now.
  if (point.value == 0x166d || point.value == 0x111c9) return true;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(point.value))) {
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
      return !is_in(later_punctuation, point.value);
    default:
      return false;
  }
}

}  // namespace twistor::text
