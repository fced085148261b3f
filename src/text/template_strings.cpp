// SPDX-License-Identifier: Apache-2.0
// Python's string methods.
#include "template_strings.hpp"

#include <algorithm>
#include <cstdint>

#include "template_error.hpp"
#include "template_value.hpp"
#include "twistor/text/unicode.hpp"

namespace twistor::text::chat {
namespace {

void require_ascii(std::string_view text) {
  if (std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) >= 0x80; }))
    throw TemplateProblem("cases of letters beyond ASCII are not supported");
}
char upper_of(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}
char lower_of(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace

std::string stripped(std::string_view text, Sides sides, const std::string* set) {
  if (set == nullptr) {
    if (sides != Sides::right) text.remove_prefix(white_space_end(text, 0));
    if (sides != Sides::left) text = text.substr(0, white_space_begin(text, text.size()));
    return std::string(text);
  }
  const std::vector<std::string_view> all = characters(text), away = characters(*set);
  const auto goes = [&](std::string_view c) { return std::ranges::find(away, c) != away.end(); };
  std::size_t begin = 0, end = all.size();
  while (sides != Sides::right && begin < end && goes(all[begin])) ++begin;
  while (sides != Sides::left && begin < end && goes(all[end - 1])) --end;
  std::string out;
  for (std::size_t i = begin; i < end; ++i) out += all[i];
  return out;
}

std::vector<std::string> split_at(std::string_view text, const std::string* separator, std::int64_t most) {
  std::vector<std::string> out;
  const auto may_cut = [&] { return most < 0 || static_cast<std::int64_t>(out.size()) < most; };
  if (separator == nullptr) {
    for (text.remove_prefix(white_space_end(text, 0)); !text.empty();
         text.remove_prefix(white_space_end(text, 0))) {
      std::size_t end = 0;
      while (end < text.size() && white_space_end(text, end) == end) end += next_code_point(text, end).size;
      if (!may_cut()) end = text.size();
      out.emplace_back(text.substr(0, end));
      text.remove_prefix(end);
    }
    return out;
  }
  if (separator->empty()) throw TemplateProblem("split: the separator is empty");
  const auto may_grow = [&] {
    if (out.size() >= most_items) throw TemplateProblem("split: the parts are too many");
    return true;
  };
  for (std::size_t at = 0;
       may_cut() && may_grow() && (at = text.find(*separator)) != std::string_view::npos;) {
    out.emplace_back(text.substr(0, at));
    text.remove_prefix(at + separator->size());
  }
  out.emplace_back(text);
  return out;
}

std::string replaced(std::string_view text, const std::string& from, const std::string& to,
                     std::int64_t most) {
  if (from.empty()) throw TemplateProblem("replace: what is to be replaced is empty");
  std::string out;
  for (const std::string& part : split_at(text, &from, most)) {
    if (out.size() > most_template_bytes) throw TemplateProblem("replace makes a text that is too long");
    out += part + to;
  }
  out.resize(out.size() - to.size());
  return out;
}

std::string upper(std::string text) {
  require_ascii(text);
  std::ranges::transform(text, text.begin(), upper_of);
  return text;
}
std::string lower(std::string text) {
  require_ascii(text);
  std::ranges::transform(text, text.begin(), lower_of);
  return text;
}
std::string capitalized(std::string text) {
  text = lower(std::move(text));
  if (!text.empty()) text.front() = upper_of(text.front());
  return text;
}
std::string titled(std::string text) {
  text = lower(std::move(text));
  bool is_first = true;
  for (char& c : text) {
    if (is_first) c = upper_of(c);
    is_first = std::string_view(" \t\n\r\v\f-({[<").find(c) != std::string_view::npos;
  }
  return text;
}

}  // namespace twistor::text::chat
