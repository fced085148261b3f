// SPDX-License-Identifier: Apache-2.0
// BERT's text preparation, in the order of the original: clean, set ideographs apart, strip accents, lower
// case.
#include <algorithm>
#include <array>
#include <utility>

#include "twistor/text/normalizer.hpp"
#include "twistor/text/unicode.hpp"
#include "twistor/text/unicode_forms.hpp"
#include "twistor/text/unicode_ranges.hpp"

namespace twistor::text {
namespace {

// With the reference's gap before U+2B920.
constexpr std::array ideographs{Range{0x3400, 0x4dbf},   Range{0x4e00, 0x9fff},   Range{0xf900, 0xfaff},
                                Range{0x20000, 0x2a6df}, Range{0x2a700, 0x2b81f}, Range{0x2b920, 0x2ceaf},
                                Range{0x2f800, 0x2fa1f}};

void clean(std::string& text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = next_code_point(text, at);
    if (point.is_valid && !is_bert_control(point.value)) {
      if (char_class(point) == CharClass::space)
        out += ' ';
      else
        out.append(text, at, point.size);
    }
    at += point.size;
  }
  text = std::move(out);
}

void set_ideographs_apart(std::string& text) {
  rewrite_code_points(text, [](std::string& out, char32_t value) {
    const bool is_apart = is_in(ideographs, value);
    if (is_apart) out += ' ';
    append_utf8(out, value);
    if (is_apart) out += ' ';
  });
}

void strip_accents(std::string& text) {
  text = to_normal_form(text, NormalForm::nfd);
  rewrite_code_points(text, [](std::string& out, char32_t value) {
    if (!is_bert_accent(value)) append_utf8(out, value);
  });
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// What the steps below come to where there is nothing but ASCII.
void normalize_ascii(std::string& text, const BertNormalizerOptions& options) {
  std::size_t size = 0;
  for (const char c : text) {
    const bool is_space = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    if (options.clean_text && !is_space && (c < ' ' || c == '\x7f')) continue;
    const bool is_upper = c >= 'A' && c <= 'Z';
    text[size++] = options.clean_text && is_space  ? ' '
                   : options.lowercase && is_upper ? static_cast<char>(c - 'A' + 'a')
                                                   : c;
  }
  text.resize(size);
}

}  // namespace

Normalizer bert_normalizer(BertNormalizerOptions options) {
  return [options](std::string& text) {
    if (is_ascii(text)) return normalize_ascii(text, options);
    if (options.clean_text) clean(text);
    if (options.handle_chinese_chars) set_ideographs_apart(text);
    if (options.strip_accents.value_or(options.lowercase)) strip_accents(text);
    if (options.lowercase) to_lower_case(text);
  };
}

}  // namespace twistor::text
