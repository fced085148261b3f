// SPDX-License-Identifier: Apache-2.0
// The scanners: one pass, no backtracking further than one run of white space.
#include "scanners.hpp"

#include <array>

#include "twistor/text/unicode.hpp"

namespace twistor::text {
namespace {

std::size_t skip_class(std::string_view text, std::size_t at, CharClass wanted) {
  while (at < text.size()) {
    const CodePoint point = next_code_point(text, at);
    if (char_class(point) != wanted) break;
    at += point.size;
  }
  return at;
}

CharClass class_at(std::string_view text, std::size_t at) {
  return char_class(next_code_point(text, at));
}

bool is_line_end(char byte) {
  return byte == '\r' || byte == '\n';
}

// \s+(?!\S)|\s+ : a run of white space leaves its last code point to what follows it, unless it is alone or
// ends the text.
std::size_t space_end(std::string_view text, std::size_t at) {
  std::size_t end = at;
  std::size_t last = at;
  while (end < text.size()) {
    const CodePoint point = next_code_point(text, end);
    if (char_class(point) != CharClass::space) break;
    last = end;
    end += point.size;
  }
  return end == text.size() || last == at ? end : last;
}

// 's 't 're 've 'm 'll 'd, lower case only.
std::size_t contraction_bytes(std::string_view text) {
  if (text.front() != '\'') return 0;
  for (const std::string_view tail : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"})
    if (text.starts_with(tail)) return tail.size();
  return 0;
}

// The same in any case; the long s is an s in disguise.
std::size_t caseless_contraction_bytes(std::string_view text) {
  if (text.front() != '\'') return 0;
  if (text.substr(1).starts_with("\u017f")) return 3;
  std::string lower(text.substr(0, 3));
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return contraction_bytes(lower);
}

std::size_t gpt2_end(std::string_view text, std::size_t at) {
  if (const std::size_t size = contraction_bytes(text.substr(at)); size > 0) return at + size;
  const bool is_spaced = text[at] == ' ' && at + 1 < text.size();
  const std::size_t core = is_spaced ? at + 1 : at;
  const CharClass core_class = class_at(text, core);
  return core_class == CharClass::space ? space_end(text, at) : skip_class(text, core, core_class);
}

// \s*[\r\n]+ : to the last line end of a run of white space; `at` if there is none.
std::size_t line_end(std::string_view text, std::size_t at) {
  std::size_t end = at;
  while (at < text.size()) {
    const CodePoint point = next_code_point(text, at);
    if (char_class(point) != CharClass::space) break;
    at += point.size;
    if (is_line_end(text[at - 1])) end = at;
  }
  return end;
}

// Llama 3 and Qwen 2 differ in how many digits make a piece.
template <int n_digits>
std::size_t modern_end(std::string_view text, std::size_t at) {
  if (const std::size_t size = caseless_contraction_bytes(text.substr(at)); size > 0) return at + size;
  const CodePoint first = next_code_point(text, at);
  const std::size_t second = at + first.size;
  const CharClass first_class = char_class(first);
  const bool has_second = second < text.size();
  if (first_class == CharClass::letter) return skip_class(text, second, CharClass::letter);
  if (first_class == CharClass::number) {
    std::size_t end = second;
    for (int i = 1; i < n_digits && end < text.size() && class_at(text, end) == CharClass::number; ++i)
      end += next_code_point(text, end).size;
    return end;
  }
  const CharClass second_class = has_second ? class_at(text, second) : CharClass::space;
  if (!is_line_end(text[at]) && second_class == CharClass::letter)
    return skip_class(text, second, CharClass::letter);
  if (first_class == CharClass::other || (text[at] == ' ' && second_class == CharClass::other)) {
    std::size_t end = skip_class(text, second, CharClass::other);
    while (end < text.size() && is_line_end(text[end])) ++end;
    return end;
  }
  const std::size_t end = line_end(text, at);
  return end > at ? end : space_end(text, at);
}

// For patterns that match everywhere.
template <std::size_t (*match_end)(std::string_view, std::size_t)>
Matches cover(std::string_view text) {
  Matches out;
  out.reserve(text.size() / 4 + 1);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = match_end(text, at);
    out.push_back({at, end});
    at = end;
  }
  return out;
}

// \p{N}{1,most}
template <int most>
Matches find_numbers(std::string_view text) {
  Matches out;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = next_code_point(text, at);
    if (char_class(point) != CharClass::number) {
      at += point.size;
      continue;
    }
    const std::size_t begin = at;
    for (int i = 0; (most == 0 || i < most) && at < text.size() && class_at(text, at) == CharClass::number;
         ++i)
      at += next_code_point(text, at).size;
    out.push_back({begin, at});
  }
  return out;
}

struct KnownPattern {
  std::string_view regex;
  Matches (*find)(std::string_view);
};
// A new one is a line here and a scanner above.
constexpr std::array known_patterns{
    KnownPattern{R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
                 cover<gpt2_end>},
    KnownPattern{R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
                 cover<gpt2_end>},
    KnownPattern{
        R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
        cover<modern_end<3>>},
    KnownPattern{
        R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
        cover<modern_end<1>>},
    KnownPattern{R"(\p{N})", find_numbers<1>},
    KnownPattern{R"(\p{N}{1,3})", find_numbers<3>},
    KnownPattern{R"(\p{N}+)", find_numbers<0>},
};

}  // namespace

Finder find_scanner(std::string_view regex) {
  for (const KnownPattern& known : known_patterns)
    if (known.regex == regex) return known.find;
  return nullptr;
}

Matches scan_gpt2(std::string_view text) {
  return cover<gpt2_end>(text);
}

}  // namespace twistor::text
