// SPDX-License-Identifier: Apache-2.0
// Normal forms from utf8proc's decompositions and compositions, with the differences to the reference's
// tables.
#include "twistor/text/unicode_forms.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <vector>

#include "twistor/base/error.hpp"
#include "twistor/text/unicode.hpp"
#include "twistor/text/unicode_ranges.hpp"

namespace twistor::text {
namespace {

// Code points after Unicode 9 that decompose, compose or are reordered.
constexpr std::array later_than_forms{
    Range{0x7fd, 0x7fd},     Range{0x898, 0x89f},     Range{0x8ca, 0x8d3},     Range{0x9fe, 0x9fe},
    Range{0xc3c, 0xc3c},     Range{0xd3b, 0xd3c},     Range{0xeba, 0xeba},     Range{0x1715, 0x1715},
    Range{0x1abf, 0x1ace},   Range{0x1df6, 0x1dfa},   Range{0x32ff, 0x32ff},   Range{0xa7f2, 0xa7f4},
    Range{0xa82c, 0xa82c},   Range{0xab69, 0xab69},   Range{0x10781, 0x10785}, Range{0x10787, 0x107b0},
    Range{0x107b2, 0x107ba}, Range{0x10d24, 0x10d27}, Range{0x10eab, 0x10eac}, Range{0x10efd, 0x10eff},
    Range{0x10f46, 0x10f50}, Range{0x10f82, 0x10f85}, Range{0x11070, 0x11070}, Range{0x1133b, 0x1133b},
    Range{0x1145e, 0x1145e}, Range{0x11839, 0x1183a}, Range{0x11930, 0x11930}, Range{0x11938, 0x11938},
    Range{0x1193d, 0x1193e}, Range{0x11943, 0x11943}, Range{0x119e0, 0x119e0}, Range{0x11a34, 0x11a34},
    Range{0x11a47, 0x11a47}, Range{0x11a99, 0x11a99}, Range{0x11d42, 0x11d42}, Range{0x11d44, 0x11d45},
    Range{0x11d97, 0x11d97}, Range{0x11f41, 0x11f42}, Range{0x16ff0, 0x16ff1}, Range{0x1e030, 0x1e06d},
    Range{0x1e08f, 0x1e08f}, Range{0x1e130, 0x1e136}, Range{0x1e2ae, 0x1e2ae}, Range{0x1e2ec, 0x1e2ef},
    Range{0x1e4ec, 0x1e4ef}, Range{0x1f16c, 0x1f16c}, Range{0x1fbf0, 0x1fbf9}};
// Marks after Unicode 9, and those that became marks.
constexpr std::array later_marks{
    Range{0x7fd, 0x7fd},     Range{0x898, 0x89f},     Range{0x8ca, 0x8d3},     Range{0x9fe, 0x9fe},
    Range{0xafa, 0xaff},     Range{0xb55, 0xb55},     Range{0xc04, 0xc04},     Range{0xc3c, 0xc3c},
    Range{0xcf3, 0xcf3},     Range{0xd00, 0xd00},     Range{0xd3b, 0xd3c},     Range{0xd81, 0xd81},
    Range{0xeba, 0xeba},     Range{0xece, 0xece},     Range{0x1715, 0x1715},   Range{0x180f, 0x180f},
    Range{0x1abf, 0x1ace},   Range{0x1cf7, 0x1cf7},   Range{0x1df6, 0x1dfa},   Range{0xa82c, 0xa82c},
    Range{0xa8ff, 0xa8ff},   Range{0x10d24, 0x10d27}, Range{0x10eab, 0x10eac}, Range{0x10efd, 0x10eff},
    Range{0x10f46, 0x10f50}, Range{0x10f82, 0x10f85}, Range{0x11070, 0x11070}, Range{0x11073, 0x11074},
    Range{0x110c2, 0x110c2}, Range{0x11145, 0x11146}, Range{0x111c9, 0x111c9}, Range{0x111ce, 0x111cf},
    Range{0x11241, 0x11241}, Range{0x1133b, 0x1133b}, Range{0x1145e, 0x1145e}, Range{0x1182c, 0x1183a},
    Range{0x11930, 0x11935}, Range{0x11937, 0x11938}, Range{0x1193b, 0x1193e}, Range{0x11940, 0x11940},
    Range{0x11942, 0x11943}, Range{0x119d1, 0x119d7}, Range{0x119da, 0x119e0}, Range{0x119e4, 0x119e4},
    Range{0x11a01, 0x11a0a}, Range{0x11a33, 0x11a39}, Range{0x11a3b, 0x11a3e}, Range{0x11a47, 0x11a47},
    Range{0x11a51, 0x11a5b}, Range{0x11a8a, 0x11a99}, Range{0x11d31, 0x11d36}, Range{0x11d3a, 0x11d3a},
    Range{0x11d3c, 0x11d3d}, Range{0x11d3f, 0x11d45}, Range{0x11d47, 0x11d47}, Range{0x11d8a, 0x11d8e},
    Range{0x11d90, 0x11d91}, Range{0x11d93, 0x11d97}, Range{0x11ef3, 0x11ef6}, Range{0x11f00, 0x11f01},
    Range{0x11f03, 0x11f03}, Range{0x11f34, 0x11f3a}, Range{0x11f3e, 0x11f42}, Range{0x13440, 0x13440},
    Range{0x13447, 0x13455}, Range{0x16f4f, 0x16f4f}, Range{0x16f7f, 0x16f87}, Range{0x16fe4, 0x16fe4},
    Range{0x16ff0, 0x16ff1}, Range{0x1cf00, 0x1cf2d}, Range{0x1cf30, 0x1cf46}, Range{0x1e08f, 0x1e08f},
    Range{0x1e130, 0x1e136}, Range{0x1e2ae, 0x1e2ae}, Range{0x1e2ec, 0x1e2ef}, Range{0x1e4ec, 0x1e4ef}};
// Nonspacing marks after Unicode 7, and those that became nonspacing.
constexpr std::array later_nonspacing_marks{
    Range{0x7fd, 0x7fd},     Range{0x898, 0x89f},     Range{0x8ca, 0x8e1},     Range{0x9fe, 0x9fe},
    Range{0xafa, 0xaff},     Range{0xb55, 0xb55},     Range{0xc04, 0xc04},     Range{0xc3c, 0xc3c},
    Range{0xd00, 0xd00},     Range{0xd3b, 0xd3c},     Range{0xd81, 0xd81},     Range{0xeba, 0xeba},
    Range{0xece, 0xece},     Range{0x180f, 0x180f},   Range{0x1885, 0x1886},   Range{0x1abf, 0x1ace},
    Range{0x1df6, 0x1dfb},   Range{0xa82c, 0xa82c},   Range{0xa8c5, 0xa8c5},   Range{0xa8ff, 0xa8ff},
    Range{0xa9bd, 0xa9bd},   Range{0x10d24, 0x10d27}, Range{0x10eab, 0x10eac}, Range{0x10efd, 0x10eff},
    Range{0x10f46, 0x10f50}, Range{0x10f82, 0x10f85}, Range{0x11070, 0x11070}, Range{0x11073, 0x11074},
    Range{0x110c2, 0x110c2}, Range{0x111c9, 0x111c9}, Range{0x111cf, 0x111cf}, Range{0x1123e, 0x1123e},
    Range{0x11241, 0x11241}, Range{0x1133b, 0x1133b}, Range{0x11438, 0x1143f}, Range{0x11442, 0x11444},
    Range{0x11446, 0x11446}, Range{0x1145e, 0x1145e}, Range{0x1182f, 0x11837}, Range{0x11839, 0x1183a},
    Range{0x1193b, 0x1193c}, Range{0x1193e, 0x1193e}, Range{0x11943, 0x11943}, Range{0x119d4, 0x119d7},
    Range{0x119da, 0x119db}, Range{0x119e0, 0x119e0}, Range{0x11a01, 0x11a0a}, Range{0x11a33, 0x11a38},
    Range{0x11a3b, 0x11a3e}, Range{0x11a47, 0x11a47}, Range{0x11a51, 0x11a56}, Range{0x11a59, 0x11a5b},
    Range{0x11a8a, 0x11a96}, Range{0x11a98, 0x11a99}, Range{0x11c30, 0x11c36}, Range{0x11c38, 0x11c3d},
    Range{0x11c3f, 0x11c3f}, Range{0x11c92, 0x11ca7}, Range{0x11caa, 0x11cb0}, Range{0x11cb2, 0x11cb3},
    Range{0x11cb5, 0x11cb6}, Range{0x11d31, 0x11d36}, Range{0x11d3a, 0x11d3a}, Range{0x11d3c, 0x11d3d},
    Range{0x11d3f, 0x11d45}, Range{0x11d47, 0x11d47}, Range{0x11d90, 0x11d91}, Range{0x11d95, 0x11d95},
    Range{0x11d97, 0x11d97}, Range{0x11ef3, 0x11ef4}, Range{0x11f00, 0x11f01}, Range{0x11f36, 0x11f3a},
    Range{0x11f40, 0x11f40}, Range{0x11f42, 0x11f42}, Range{0x13440, 0x13440}, Range{0x13447, 0x13455},
    Range{0x16f4f, 0x16f4f}, Range{0x16fe4, 0x16fe4}, Range{0x1cf00, 0x1cf2d}, Range{0x1cf30, 0x1cf46},
    Range{0x1e000, 0x1e006}, Range{0x1e008, 0x1e018}, Range{0x1e01b, 0x1e021}, Range{0x1e023, 0x1e024},
    Range{0x1e026, 0x1e02a}, Range{0x1e08f, 0x1e08f}, Range{0x1e130, 0x1e136}, Range{0x1e2ae, 0x1e2ae},
    Range{0x1e2ec, 0x1e2ef}, Range{0x1e4ec, 0x1e4ef}, Range{0x1e944, 0x1e94a}};
constexpr std::array bert_controls{
    Range{0x1, 0x8},          Range{0xb, 0xc},         Range{0xe, 0x1f},        Range{0x7f, 0x9f},
    Range{0xad, 0xad},        Range{0x600, 0x605},     Range{0x61c, 0x61c},     Range{0x6dd, 0x6dd},
    Range{0x70f, 0x70f},      Range{0x180e, 0x180e},   Range{0x200b, 0x200f},   Range{0x202a, 0x202e},
    Range{0x2060, 0x2064},    Range{0x2066, 0x206f},   Range{0xe000, 0xf8ff},   Range{0xfeff, 0xfeff},
    Range{0xfff9, 0xfffb},    Range{0xfffd, 0xfffd},   Range{0x110bd, 0x110bd}, Range{0x1bca0, 0x1bca3},
    Range{0x1d173, 0x1d17a},  Range{0xe0001, 0xe0001}, Range{0xe0020, 0xe007f}, Range{0xf0000, 0xffffd},
    Range{0x100000, 0x10fffd}};

// Lower case that utf8proc does not have yet: first to last, `offset` added; every `step`-th of them.
struct LowerCase {
  char32_t first, last, step;
  std::int32_t offset;
};
constexpr std::array later_lower_case{
    LowerCase{0x1c89, 0x1c89, 1, 1},    LowerCase{0xa7cb, 0xa7cb, 1, -0xa567},
    LowerCase{0xa7cc, 0xa7ce, 2, 1},    LowerCase{0xa7d2, 0xa7d4, 2, 1},
    LowerCase{0xa7da, 0xa7da, 1, 1},    LowerCase{0xa7dc, 0xa7dc, 1, -0xa641},
    LowerCase{0x10d50, 0x10d65, 1, 32}, LowerCase{0x16ea0, 0x16eb8, 1, 27}};

utf8proc_option_t options_of(NormalForm form) {
  const bool is_compatible = form == NormalForm::nfkc || form == NormalForm::nfkd;
  return static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE |
                                        (is_compatible ? UTF8PROC_COMPAT : 0));
}

void append_decomposition(std::vector<utf8proc_int32_t>& out, char32_t value, utf8proc_option_t options) {
  constexpr std::size_t longest = 32;  // U+FDFA has 18
  std::array<utf8proc_int32_t, longest> parts{};
  int boundary = 0;
  const auto n = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(value), parts.data(), longest, options,
                                         &boundary);
  TWISTOR_ASSERT(n >= 0 && n <= std::ssize(parts), "a code point decomposes into very many");
  out.insert(out.end(), parts.begin(), parts.begin() + n);
}

int combining_class(utf8proc_int32_t value) {
  return utf8proc_get_property(value)->combining_class;
}

// Marks between two starters in the order of their classes. utf8proc does this too, but in quadratic time.
void order_marks(std::vector<utf8proc_int32_t>& points) {
  const auto is_starter = [](utf8proc_int32_t value) { return combining_class(value) == 0; };
  for (auto begin = points.begin(); begin != points.end();) {
    begin = std::find_if_not(begin, points.end(), is_starter);
    const auto end = std::find_if(begin, points.end(), is_starter);
    std::stable_sort(begin, end, [](utf8proc_int32_t a, utf8proc_int32_t b) {
      return combining_class(a) < combining_class(b);
    });
    begin = end;
  }
}

// Decomposed code points, and what becomes of them at the next barrier.
class FormBuilder {
 public:
  FormBuilder(NormalForm form, std::string& out)
      : options_(options_of(form)),
        is_composed_(form == NormalForm::nfc || form == NormalForm::nfkc),
        out_(out) {}

  void add(char32_t value) {
    if (value >= 0x80) return append_decomposition(points_, value, options_);
    flush();  // nothing before an ASCII character composes with it
    points_.push_back(static_cast<utf8proc_int32_t>(value));
  }

  void flush() {
    if (points_.size() > 1) order_marks(points_);
    auto size = static_cast<utf8proc_ssize_t>(points_.size());
    if (is_composed_ && size > 1)
      size = utf8proc_normalize_utf32(points_.data(), size,
                                      static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    TWISTOR_ASSERT(size >= 0, "composing code points failed");
    for (utf8proc_ssize_t i = 0; i < size; ++i)
      append_utf8(out_, static_cast<char32_t>(points_[static_cast<std::size_t>(i)]));
    points_.clear();
  }

 private:
  utf8proc_option_t options_;
  bool is_composed_;
  std::string& out_;
  std::vector<utf8proc_int32_t> points_;
};

void append_lower_case(std::string& out, char32_t value) {
  if (value < 0x80) {
    out += static_cast<char>(value >= 'A' && value <= 'Z' ? value - 'A' + 'a' : value);
    return;
  }
  if (value == 0x130) {
    out += "i\u0307";
    return;
  }
  for (const LowerCase& rule : later_lower_case)
    if (value >= rule.first && value <= rule.last && (value - rule.first) % rule.step == 0)
      return append_utf8(out, static_cast<char32_t>(static_cast<std::int32_t>(value) + rule.offset));
  append_utf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(value))));
}

}  // namespace

std::string to_normal_form(std::string_view text, NormalForm form) {
  std::string out;
  out.reserve(text.size());
  FormBuilder builder(form, out);
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = next_code_point(text, at);
    if (point.is_valid && !is_in(later_than_forms, point.value)) {
      builder.add(point.value);
    } else {
      builder.flush();
      out += text.substr(at, point.size);
    }
    at += point.size;
  }
  builder.flush();
  return out;
}

void to_lower_case(std::string& text) {
  rewrite_code_points(text, append_lower_case);
}

bool is_combining_mark(char32_t value) {
  if (value < 0x300 || is_in(later_marks, value)) return false;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(value))) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return true;
    default:
      return value == 0x1cf2 || value == 0x1cf3;  // marks then, letters now
  }
}

bool is_bert_accent(char32_t value) {
  if (value < 0x300 || is_in(later_nonspacing_marks, value)) return false;
  // U+1734 was nonspacing then.
  return utf8proc_category(static_cast<utf8proc_int32_t>(value)) == UTF8PROC_CATEGORY_MN || value == 0x1734;
}

bool is_bert_control(char32_t value) {
  return value == 0 || is_in(bert_controls, value);
}

}  // namespace twistor::text
