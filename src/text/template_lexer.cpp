// SPDX-License-Identifier: Apache-2.0
// Cutting a chat template into tokens.
#include "template_lexer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "template_error.hpp"
#include "twistor/base/utf8.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/text/unicode.hpp"

namespace twistor::text::chat {
namespace {

bool is_name_char(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

/// Line ends of one kind, and none at the end.
std::string normal_lines(std::string_view source) {
  std::string out;
  for (std::size_t at = 0; at < source.size(); ++at) {
    if (source[at] == '\r' && at + 1 < source.size() && source[at + 1] == '\n') continue;
    out += source[at] == '\r' ? '\n' : source[at];
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normal_lines(source)) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) {
      read_text();
      if (at_ < source_.size()) read_tag();
    }
    add(TokenKind::end, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(const std::string& problem) const {
    throw TemplateProblem(fmt::format("line {}: {}", line_, problem));
  }
  void add(TokenKind kind, std::string value) { tokens_.push_back({kind, std::move(value), line_}); }
  [[nodiscard]] char peek(std::size_t ahead = 0) const {
    return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0';
  }
  void move_to(std::size_t end) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(end), '\n'));
    at_ = end;
  }

  /// Up to the next tag, without the blanks that the tag takes.
  void read_text() {
    std::size_t end = at_;
    for (; end < source_.size(); ++end)
      if (source_[end] == '{' && end + 1 < source_.size() &&
          std::string_view("{%#").find(source_[end + 1]) != std::string_view::npos)
        break;
    std::string_view text = std::string_view(source_).substr(at_, end - at_);
    if (end < source_.size()) {
      const char mark = end + 2 < source_.size() ? source_[end + 2] : '\0';
      if (mark == '-') {
        text = text.substr(0, white_space_begin(text, text.size()));
      } else if (mark != '+' && source_[end + 1] != '{') {
        const std::size_t line = text.rfind('\n') == std::string_view::npos ? 0 : text.rfind('\n') + 1;
        const bool begins_line = line > 0 || at_ == 0 || source_[at_ - 1] == '\n';
        if (begins_line && white_space_end(text, line) == text.size()) text = text.substr(0, line);
      }
    }
    if (!text.empty()) add(TokenKind::text, std::string(text));
    move_to(end);
  }

  void read_tag() {
    const char kind = source_[at_ + 1];
    const std::size_t begin = at_;
    move_to(at_ + 2);
    if (kind == '#') return skip_comment(begin);
    if (peek() == '-' || (peek() == '+' && kind == '%')) move_to(at_ + 1);
    const bool is_output = kind == '{';
    add(is_output ? TokenKind::output_begin : TokenKind::tag_begin, "");
    int depth = 0;
    while (!read_end(is_output, depth)) read_inside(depth);
  }

  void skip_comment(std::size_t begin) {
    const std::size_t end = source_.find("#}", std::max(at_, begin + 2));
    if (end == std::string::npos) fail("a comment has no end");
    const bool takes_blanks = source_[end - 1] == '-' && end > begin + 2;
    move_to(end + 2);
    after_tag(takes_blanks, source_[end - 1] != '+');
  }

  void after_tag(bool takes_blanks, bool takes_line_end) {
    if (takes_blanks)
      move_to(white_space_end(source_, at_));
    else if (takes_line_end && peek() == '\n')
      move_to(at_ + 1);
  }

  /// Takes the end of the tag, if it stands here outside of all brackets.
  bool read_end(bool is_output, int depth) {
    while (at_ < source_.size() && is_blank(source_[at_])) move_to(at_ + 1);
    if (at_ >= source_.size()) fail("a tag has no end");
    if (depth > 0) return false;
    const bool has_mark = peek() == '-' || (peek() == '+' && !is_output);
    const std::string_view rest = std::string_view(source_).substr(at_ + (has_mark ? 1 : 0));
    if (!rest.starts_with(is_output ? "}}" : "%}")) return false;
    const char mark = has_mark ? peek() : '\0';
    add(is_output ? TokenKind::output_end : TokenKind::tag_end, "");
    move_to(at_ + (has_mark ? 3 : 2));
    after_tag(mark == '-', !is_output && mark != '+');
    return true;
  }

  void read_inside(int& depth) {
    const char c = peek();
    if (is_digit(c)) return read_number();
    if (is_name_char(c)) {
      std::size_t end = at_;
      while (end < source_.size() && is_name_char(source_[end])) ++end;
      add(TokenKind::name, source_.substr(at_, end - at_));
      return move_to(end);
    }
    if (c == '"' || c == '\'') return read_string(c);
    constexpr std::array<std::string_view, 25> signs{"**", "//", "==", "!=", "<=", ">=", "+", "-", "*",
                                                     "/",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                     "<",  ">",  "=",  ".",  ":",  "|",  ","};
    const std::string_view rest = std::string_view(source_).substr(at_);
    const auto* found = std::ranges::find_if(signs, [&](std::string_view s) { return rest.starts_with(s); });
    if (found == signs.end())
      fail("nothing in an expression begins with " + format::quote(source_.substr(at_, 1)));
    if (*found == "(" || *found == "[" || *found == "{") ++depth;
    if ((*found == ")" || *found == "]" || *found == "}") && --depth < 0)
      fail(fmt::format("'{}' closes nothing", *found));
    add(TokenKind::sign, std::string(*found));
    move_to(at_ + found->size());
  }

  void read_number() {
    std::size_t end = at_;
    const auto digits = [&] {
      while (end < source_.size() && (is_digit(source_[end]) || source_[end] == '_')) ++end;
    };
    const auto at = [&](std::size_t i) { return i < source_.size() ? source_[i] : '\0'; };
    digits();
    bool is_whole = true;
    if (at(end) == '.' && is_digit(at(end + 1))) {
      is_whole = false;
      ++end;
      digits();
    }
    if (const std::size_t sign = at(end + 1) == '-' || at(end + 1) == '+' ? 2 : 1;
        (at(end) == 'e' || at(end) == 'E') && is_digit(at(end + sign))) {
      is_whole = false;
      end += sign;
      digits();
    }
    std::string value = source_.substr(at_, end - at_);
    std::erase(value, '_');
    add(is_whole ? TokenKind::integer : TokenKind::number, std::move(value));
    move_to(end);
  }

  void read_string(char mark) {
    std::string value;
    std::size_t at = at_ + 1;
    for (; at < source_.size() && source_[at] != mark; ++at) {
      if (source_[at] == '\\' && at + 1 < source_.size())
        at = read_escape(at + 1, value);
      else
        value += source_[at];
    }
    if (at >= source_.size()) fail("a string has no end");
    add(TokenKind::string, std::move(value));
    move_to(at + 1);
  }

  /// Appends what stands after a backslash at `at`, and returns where its last character is.
  std::size_t read_escape(std::size_t at, std::string& value) const {
    constexpr std::string_view names = "ntrabfv\\'\"\n", meanings = "\n\t\r\a\b\f\v\\'\"";
    const char c = source_[at];
    if (const std::size_t i = names.find(c); i != std::string_view::npos) {
      if (i < meanings.size()) value += meanings[i];  // else a line end, which vanishes
      return at;
    }
    const std::size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (is_digit(c)) fail("octal escapes are not supported");
    if (digits == 0) {
      value += '\\';
      value += c;
      return at;
    }
    std::uint32_t point = 0;
    for (std::size_t i = 1; i <= digits; ++i) {
      const char digit = at + i < source_.size() ? source_[at + i] : '\0';
      if (std::isxdigit(static_cast<unsigned char>(digit)) == 0)
        fail(fmt::format("'\\{}' needs {} hexadecimal digits", c, digits));
      const std::string_view all = "0123456789abcdef";
      point = 16 * point + static_cast<std::uint32_t>(
                               all.find(static_cast<char>(std::tolower(static_cast<unsigned char>(digit)))));
    }
    if (point > 0x10FFFF || (point >= 0xD800 && point < 0xE000)) fail("an escape is no character of Unicode");
    append_utf8(value, static_cast<char32_t>(point));
    return at + digits;
  }

  std::string source_;
  std::size_t at_ = 0;
  int line_ = 1;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokens_of_template(std::string_view source) {
  return Lexer(source).run();
}

}  // namespace twistor::text::chat
