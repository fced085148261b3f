// SPDX-License-Identifier: Apache-2.0
// Reading the part of Perl's syntax of regular expressions that an automaton can decide.
#include "pattern_syntax.hpp"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/base/utf8.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/text/byte_automaton.hpp"

namespace twistor::text {
namespace {

using Set = std::bitset<256>;
constexpr int most_repeats = 1000, most_depth = 200;

Set range_of(int first, int last) {
  Set set;
  for (int byte = first; byte <= last; ++byte) set.set(static_cast<std::size_t>(byte));
  return set;
}

Set ascii_where(bool (*is_in)(unsigned char)) {
  Set set;
  for (int byte = 0; byte < 128; ++byte)
    if (is_in(static_cast<unsigned char>(byte))) set.set(static_cast<std::size_t>(byte));
  return set;
}

bool is_space(unsigned char byte) {
  return byte == ' ' || (byte >= '\t' && byte <= '\r');
}
bool is_digit(unsigned char byte) {
  return byte >= '0' && byte <= '9';
}
bool is_letter(unsigned char byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

Pattern of_set(const Set& set) {
  return {.kind = PatternKind::bytes, .set = set};
}
Pattern all_of(std::vector<Pattern> children) {
  return {.kind = PatternKind::sequence, .children = std::move(children)};
}
Pattern one_of(std::vector<Pattern> children) {
  return {.kind = PatternKind::alternative, .children = std::move(children)};
}

Pattern of_text(std::string_view bytes) {
  std::vector<Pattern> children;
  for (const char c : bytes)
    children.push_back(of_set(range_of(static_cast<unsigned char>(c), static_cast<unsigned char>(c))));
  return all_of(std::move(children));
}

/// Any character beyond ASCII, as UTF-8 has it.
Pattern beyond_ascii() {
  const auto follow = [] { return of_set(range_of(0x80, 0xBF)); };
  return one_of({all_of({of_set(range_of(0xC2, 0xDF)), follow()}),
                 all_of({of_set(range_of(0xE0, 0xEF)), follow(), follow()}),
                 all_of({of_set(range_of(0xF0, 0xF4)), follow(), follow(), follow()})});
}

/// What a class or an escape stands for: characters of ASCII, all others, and some of the others.
struct Characters {
  Set ascii{};
  bool has_others = false;
  std::vector<std::string> some_others{};

  void add(const Characters& more) {
    ascii |= more.ascii;
    has_others |= more.has_others;
    some_others.insert(some_others.end(), more.some_others.begin(), more.some_others.end());
  }
  void ignore_case() {
    for (std::size_t c = 'a'; c <= 'z'; ++c)
      if (const std::size_t upper = c - 'a' + 'A'; ascii[c] || ascii[upper]) ascii.set(c).set(upper);
  }
  [[nodiscard]] Pattern pattern() const {
    if (!has_others && some_others.empty()) return of_set(ascii);
    std::vector<Pattern> choices{of_set(ascii)};
    if (has_others) choices.push_back(beyond_ascii());
    for (const std::string& other : some_others) choices.push_back(of_text(other));
    return one_of(std::move(choices));
  }
};

class PatternReader {
 public:
  PatternReader(std::string_view pattern, const std::string& doing) : text_(pattern), doing_(doing) {}

  Pattern read() {
    if (text_.starts_with("(?i)")) {
      ignores_case_ = true;
      at_ = 4;
    }
    Pattern whole = alternatives(0);
    if (at_ < text_.size()) refuse("')' without '('");
    return whole;
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw Error(ErrorKind::config, doing_,
                fmt::format("the pattern {} has {} at byte {}", format::quote(text_), what, at_),
                "an automaton knows literals, classes, groups, |, quantifiers, ^, $, \\b, \\d, \\s, \\w and "
                "(?i) at the "
                "beginning; learn a twist for other patterns (twist.form = mlp)");
  }
  [[nodiscard]] bool is_next(std::string_view what) const { return text_.substr(at_).starts_with(what); }
  bool take(std::string_view what) {
    if (!is_next(what)) return false;
    at_ += what.size();
    return true;
  }

  Pattern alternatives(int depth) {
    if (depth > most_depth) refuse("too many groups in one another");
    std::vector<Pattern> choices{sequence(depth)};
    while (take("|")) choices.push_back(sequence(depth));
    return choices.size() == 1 ? std::move(choices.front()) : one_of(std::move(choices));
  }

  Pattern sequence(int depth) {
    std::vector<Pattern> parts;
    while (at_ < text_.size() && !is_next("|") && !is_next(")")) parts.push_back(quantified(atom(depth)));
    return all_of(std::move(parts));
  }

  Pattern atom(int depth) {
    if (take("(")) {
      if (is_next("?") && !take("?:")) refuse("a group of a kind that it does not know");
      if (is_next("*")) refuse("a verb");
      Pattern inner = alternatives(depth + 1);
      if (!take(")")) refuse("'(' without ')'");
      return inner;
    }
    if (take("^")) return {.kind = PatternKind::begin};
    if (take("$")) return end_of_text();
    if (take(".")) return Characters{~range_of('\n', '\n') & range_of(0, 127), true, {}}.pattern();
    if (take("[")) return character_class();
    if (is_next("*") || is_next("+") || is_next("?")) refuse("a quantifier of nothing");
    if (take("\\")) return escape();
    return cased(character()).pattern();
  }

  /// At the end, or before a line feed that is the last byte.
  static Pattern end_of_text() {
    return all_of(
        {{.kind = PatternKind::repeat, .children = {of_set(range_of('\n', '\n'))}, .least = 0, .most = 1},
         {.kind = PatternKind::end}});
  }

  Characters cased(Characters c) const {
    if (ignores_case_) c.ignore_case();
    return c;
  }

  /// One character that stands for itself.
  Characters character() {
    const CodePoint next = next_code_point(text_, at_);
    const std::string_view bytes = text_.substr(at_, next.size);
    at_ += next.size;
    const auto first = static_cast<unsigned char>(bytes.front());
    if (first < 128) return {range_of(first, first), false, {}};
    return {{}, false, {std::string(bytes)}};
  }

  Pattern escape() {
    if (take("A")) return {.kind = PatternKind::begin};
    if (take("z")) return {.kind = PatternKind::end};
    if (take("Z")) return end_of_text();
    if (take("b")) return {.kind = PatternKind::boundary};
    if (take("B")) return {.kind = PatternKind::no_boundary};
    return cased(escaped()).pattern();
  }

  /// After a backslash, in classes and outside of them.
  Characters escaped() {
    if (at_ == text_.size()) refuse("a backslash and nothing after it");
    const auto c = static_cast<unsigned char>(text_[at_]);
    if (!is_letter(c) && !is_digit(c)) return character();
    ++at_;
    const Set digits = ascii_where(is_digit), spaces = ascii_where(is_space), ascii = range_of(0, 127),
              words = ascii_where(is_word_byte);
    switch (c) {
      case 'd':
        return {digits, false, {}};
      case 'D':
        return {ascii & ~digits, true, {}};
      case 's':
        return {spaces, false, {}};
      case 'S':
        return {ascii & ~spaces, true, {}};
      case 'w':
        return {words, true, {}};
      case 'W':
        return {ascii & ~words, true, {}};
      case 'n':
        return {range_of('\n', '\n'), false, {}};
      case 'r':
        return {range_of('\r', '\r'), false, {}};
      case 't':
        return {range_of('\t', '\t'), false, {}};
      case 'f':
        return {range_of('\f', '\f'), false, {}};
      case 'x':
        return hexadecimal();
      default:
        --at_;
        refuse(fmt::format("\\{}", static_cast<char>(c)));
    }
  }

  Characters hexadecimal() {
    int value = 0;
    const char* const begin = text_.data() + at_;
    const char* const end = begin + std::min<std::size_t>(2, text_.size() - at_);
    const auto [stop, error] = std::from_chars(begin, end, value, 16);
    if (error != std::errc{} || stop != begin + 2 || value > 127)
      refuse("\\x without two digits of an ASCII character");
    at_ += 2;
    return {range_of(value, value), false, {}};
  }

  Pattern character_class() {
    const bool is_negated = take("^");
    Characters all;
    for (bool is_first = true; is_first || !is_next("]"); is_first = false) {
      if (at_ >= text_.size()) refuse("'[' without ']'");
      if (is_next("[:") || is_next("[.") || is_next("[=")) refuse("a named class");
      const bool is_escaped = take("\\");
      if (is_escaped && is_next("b")) refuse("\\b in a class");
      const Characters low = is_escaped ? escaped() : character();
      if (!is_next("-") || text_.substr(at_).starts_with("-]")) {
        all.add(low);
        continue;
      }
      ++at_;
      if (at_ >= text_.size()) refuse("'[' without ']'");
      const Characters high = take("\\") ? escaped() : character();
      const auto first = only(low), last = only(high);
      if (!first || !last || *first > *last) refuse("a range of characters that it does not know");
      all.ascii |= range_of(*first, *last);
    }
    ++at_;  // the ]
    all = cased(std::move(all));
    if (!is_negated) return all.pattern();
    return Characters{range_of(0, 127) & ~all.ascii, true, {}}.pattern();
  }

  /// The one character of ASCII that this is.
  static std::optional<int> only(const Characters& c) {
    if (c.has_others || !c.some_others.empty() || c.ascii.count() != 1) return std::nullopt;
    return static_cast<int>(c.ascii._Find_first());
  }

  Pattern quantified(Pattern inner) {
    for (;;) {
      int least = 0, most = -1;
      if (take("*")) {
      } else if (take("+")) {
        least = 1;
      } else if (take("?")) {
        most = 1;
      } else if (!braces(least, most)) {
        return inner;
      }
      if (is_next("+")) refuse("a quantifier that never gives back");
      take("?");  // lazy: the same texts match
      inner = {.kind = PatternKind::repeat, .children = {std::move(inner)}, .least = least, .most = most};
    }
  }

  /// {m}, {m,} or {m,n}; other braces stand for themselves.
  bool braces(int& least, int& most) {
    const std::size_t close = text_.find('}', at_);
    if (!is_next("{") || close == std::string_view::npos) return false;
    const char* const end = text_.data() + close;
    auto read = std::from_chars(text_.data() + at_ + 1, end, least);
    if (read.ec != std::errc{}) return false;
    most = least;
    if (read.ptr != end) {
      if (*read.ptr != ',') return false;
      most = -1;
      if (read.ptr + 1 != end) {
        read = std::from_chars(read.ptr + 1, end, most);
        if (read.ec != std::errc{} || read.ptr != end) return false;
      }
    }
    if (least > most_repeats || most > most_repeats || (most >= 0 && most < least))
      refuse("a repetition out of range");
    at_ = close + 1;
    return true;
  }

  std::string_view text_;
  const std::string& doing_;
  std::size_t at_ = 0;
  bool ignores_case_ = false;
};

}  // namespace

bool is_word_byte(unsigned char byte) {
  return is_letter(byte) || is_digit(byte) || byte == '_' || byte >= 128;
}

Pattern parse_pattern(std::string_view pattern, const std::string& doing) {
  return PatternReader(pattern, doing).read();
}

}  // namespace twistor::text
