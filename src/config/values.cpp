// SPDX-License-Identifier: Apache-2.0
// Values of keys: from text, to text, and what to say when they are wrong.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <type_traits>

#include "twistor/base/error.hpp"
#include "twistor/base/strings.hpp"
#include "twistor/config/fields.hpp"

namespace twistor::config {
namespace {

constexpr std::string_view blanks = " \t";

// A comment starts at a # that begins the text or follows a blank.
std::string_view without_comment(std::string_view text) {
  for (std::size_t i = text.find('#'); i != std::string_view::npos; i = text.find('#', i + 1)) {
    if (i == 0 || blanks.find(text[i - 1]) != std::string_view::npos) return text.substr(0, i);
  }
  return text;
}

// The character that an escape stands for; takes it off `rest`, which begins after the backslash.
std::optional<char> unescape(std::string_view& rest) {
  if (rest.empty()) return std::nullopt;
  const char letter = rest.front();
  rest.remove_prefix(1);
  switch (letter) {
    case '"':
    case '\\':
      return letter;
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'x': {
      unsigned value = 0;
      if (rest.size() < 2 || std::from_chars(rest.data(), rest.data() + 2, value, 16).ptr != rest.data() + 2)
        return {};
      rest.remove_prefix(2);
      return static_cast<char>(static_cast<unsigned char>(value));
    }
    default:
      return std::nullopt;
  }
}

// Takes "quoted" off the front of `rest`, which begins with the quote. Returns what is wrong, or nothing.
std::string take_quoted(std::string_view& rest, std::string& out) {
  rest.remove_prefix(1);
  while (!rest.empty()) {
    const char c = rest.front();
    rest.remove_prefix(1);
    if (c == '"') return {};
    if (c != '\\') {
      out += c;
      continue;
    }
    const std::optional<char> escaped = unescape(rest);
    if (!escaped) return "an escape other than \\\" \\\\ \\n \\r \\t \\xHH in a quoted text";
    out += *escaped;
  }
  return "a quoted text without its closing quote";
}

std::string read(std::string_view text, ValueSyntax syntax, std::string& out) {
  if (syntax == ValueSyntax::verbatim) {
    out = text;
    return {};
  }
  text = trim(text, blanks);
  if (!text.starts_with('"')) {
    out = trim(without_comment(text), blanks);
    return {};
  }
  std::string value;
  if (std::string problem = take_quoted(text, value); !problem.empty()) return problem;
  if (!trim(without_comment(text), blanks).empty()) return "something after the closing quote";
  out = std::move(value);
  return {};
}

template <class Number>
bool read_number(std::string_view text, Number& out) {
  const char* end = text.data() + text.size();
  Number value{};
  const auto [stop, status] = std::from_chars(text.data(), end, value);
  if (status != std::errc{} || stop != end) return false;
  if constexpr (std::is_floating_point_v<Number>) {
    if (std::isnan(value)) return false;
  }
  out = value;
  return true;
}

// Adds 7, or 3 4 5 6 for "3..6". False if the word is neither.
bool read_integers(std::string_view word, std::vector<std::int64_t>& out) {
  constexpr std::int64_t most = 1'000'000;  // of one range
  const std::size_t dots = word.find("..");
  std::int64_t first = 0;
  if (!read_number(word.substr(0, dots), first) || first < 0) return false;
  std::int64_t last = first;
  if (dots != std::string_view::npos && !read_number(word.substr(dots + 2), last)) return false;
  if (last < first || last - first >= most) return false;
  for (std::int64_t i = first; i <= last; ++i) out.push_back(i);
  return true;
}

std::string read(std::string_view text, ValueSyntax, std::vector<std::int64_t>& out) {
  constexpr std::string_view separators = ", \t";
  std::vector<std::int64_t> ids;
  std::string_view rest = trim(without_comment(text), blanks);
  bool is_element_due = false;  // after a comma
  while (!rest.empty()) {
    const std::string_view word = rest.substr(0, rest.find_first_of(separators));
    if (!read_integers(word, ids)) return fmt::format("'{}' in it", word);
    rest = trim(rest.substr(word.size()), blanks);
    is_element_due = rest.starts_with(',');
    if (is_element_due) rest = trim(rest.substr(1), blanks);
  }
  if (is_element_due) return "a comma at its end";
  out = std::move(ids);
  return {};
}

std::string read(std::string_view text, ValueSyntax, bool& out) {
  text = trim(without_comment(text), blanks);
  if (text != "true" && text != "false") return fmt::format("'{}'", text);
  out = text == "true";
  return {};
}

// int64, uint64, double
template <class Number>
std::string read(std::string_view text, ValueSyntax, Number& out) {
  text = trim(without_comment(text), blanks);
  return read_number(text, out) ? std::string{} : fmt::format("'{}'", text);
}

bool is_inside(const Range& range, double x) {
  return (range.is_low_allowed ? x >= range.low : x > range.low) &&
         (range.is_high_allowed ? x <= range.high : x < range.high);
}

// Of a list: whether its numbers are more than ids.
bool has_range(const Key& about) {
  return about.range.high > about.range.low;
}

// What is wrong with a value that could be read; empty if nothing is.
template <class T>
std::string violation(const Field& field, const T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    const std::vector<std::string_view> known = choices(field);
    if (!known.empty() && std::ranges::find(known, value) == known.end()) return fmt::format("'{}'", value);
  } else if constexpr (std::is_same_v<T, std::int64_t> || std::is_same_v<T, double>) {
    if (!is_inside(field.about.range, static_cast<double>(value))) return fmt::format("{}", value);
  } else if constexpr (std::is_same_v<T, std::vector<std::int64_t>>) {
    for (const std::int64_t x : value)
      if (has_range(field.about) && !is_inside(field.about.range, static_cast<double>(x)))
        return fmt::format("{} in it", x);
  }
  return {};
}

// Quoted where the bare text would be read back as something else.
std::string quoted_if_needed(const std::string& text) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  const bool is_plain = trim(text, blanks) == text && text.find_first_of("\"#") == std::string::npos &&
                        std::ranges::none_of(text, is_control);
  if (is_plain) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += fmt::format("\\{}", c);
    } else if (is_control(c)) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

// Numbers as the shortest text that reads back to the same bits.
template <class T>
std::string write(const T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    return quoted_if_needed(value);
  } else if constexpr (std::is_same_v<T, std::vector<std::int64_t>>) {
    return fmt::format("{}", fmt::join(value, ", "));
  } else {
    return fmt::format("{}", value);
  }
}

std::string number_expectation(const Range& range, std::string_view noun) {
  if (std::isinf(range.high) && std::isinf(range.low)) return fmt::format("{}", noun);
  const std::string low =
      range.is_low_allowed ? fmt::format("at least {}", range.low) : fmt::format("above {}", range.low);
  if (std::isinf(range.high)) return fmt::format("a finite number, {}", low);
  const std::string high =
      range.is_high_allowed ? fmt::format("at most {}", range.high) : fmt::format("below {}", range.high);
  if (std::isinf(range.low)) return fmt::format("{}, {} (-inf is allowed)", noun, high);
  return fmt::format("{}, {} and {}", noun, low, high);
}

}  // namespace

std::vector<std::string_view> choices(const Field& field) {
  const auto* choice = std::get_if<Choice>(&field.value);
  return choice != nullptr ? choice->names() : field.about.choices;
}

std::string expectation(const Field& field) {
  const Range& range = field.about.range;
  const auto of_type = [&]<class T>(const T&) -> std::string {
    if constexpr (std::is_same_v<T, bool*>) return "true or false";
    if constexpr (std::is_same_v<T, std::int64_t*>) return number_expectation(range, "an integer");
    if constexpr (std::is_same_v<T, std::uint64_t*>) return "an integer, at least 0 and below 2^64";
    if constexpr (std::is_same_v<T, double*>) return number_expectation(range, "a number");
    if constexpr (std::is_same_v<T, std::vector<std::int64_t>*>)
      return has_range(field.about) ? number_expectation(range, "integers") +
                                          ", separated by commas or blanks; 1..4 stands for 1 2 3 4"
                                    : "token ids, separated by commas or blanks";
    const std::vector<std::string_view> known = choices(field);
    if (known.empty()) return "a text";
    return fmt::format("{}{}", known.size() > 1 ? "one of: " : "", fmt::join(known, ", "));
  };
  return std::visit(of_type, field.value);
}

std::string assign(const Field& field, std::string_view text, ValueSyntax syntax) {
  const auto read_into = [&](auto& out) {
    std::remove_reference_t<decltype(out)> value{};
    std::string problem = read(text, syntax, value);
    if (problem.empty()) problem = violation(field, value);
    if (problem.empty()) out = std::move(value);
    return problem;
  };
  if (const auto* choice = std::get_if<Choice>(&field.value)) {
    std::string name;
    std::string problem = read_into(name);
    if (problem.empty()) choice->set(name);
    return problem;
  }
  return std::visit(
      [&]<class T>(const T& pointer) -> std::string {
        if constexpr (std::is_pointer_v<T>) return read_into(*pointer);
        return {};
      },
      field.value);
}

std::optional<double> optional_number(std::string_view text, std::string_view key) {
  if (text.empty()) return std::nullopt;
  double value = 0;
  TWISTOR_CHECK(read_number(text, value) && std::isfinite(value), ErrorKind::config,
                fmt::format("reading {}", key),
                fmt::format("expected a finite number or nothing, got '{}'", text),
                fmt::format("for instance {} = -6.415; leave it empty to have it found", key));
  return value;
}

bool is_equal(const Field& a, const Field& b) {
  return std::visit(
      []<class A, class B>(const A& x, const B& y) {
        if constexpr (!std::is_same_v<A, B>) {
          return false;  // one key is of one type
        } else if constexpr (std::is_pointer_v<A>) {
          return *x == *y;
        } else {
          return x.get() == y.get();
        }
      },
      a.value, b.value);
}

std::string format_value(const Field& field) {
  return std::visit(
      []<class T>(const T& value) {
        if constexpr (std::is_pointer_v<T>) {
          return write(*value);
        } else {
          return std::string(value.get());
        }
      },
      field.value);
}

}  // namespace twistor::config
