// SPDX-License-Identifier: Apache-2.0
// Taking texts apart and putting them together.
#include "twistor/base/strings.hpp"

#include <algorithm>

namespace twistor {

std::string_view trim(std::string_view text, std::string_view blanks) {
  const std::size_t first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::string_view take_line(std::string_view& rest) {
  const std::string_view line = rest.substr(0, rest.find('\n'));
  rest.remove_prefix(std::min(rest.size(), line.size() + 1));
  return line;
}

std::string join_alternatives(std::span<const std::string_view> choices) {
  if (choices.empty()) return "nothing";
  std::string out(choices.front());
  for (std::size_t i = 1; i < choices.size(); ++i) {
    out += i + 1 < choices.size() ? ", " : " or ";
    out += choices[i];
  }
  return out;
}

}  // namespace twistor
