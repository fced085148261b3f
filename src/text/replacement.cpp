// SPDX-License-Identifier: Apache-2.0
// Replacing strings and what regular expressions match.
#include "twistor/text/replacement.hpp"

#include <utility>

#include "scanners.hpp"

namespace twistor::text {

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  std::size_t found = text.find(from);
  if (found == std::string::npos) return;
  std::string out;
  out.reserve(text.size());
  std::size_t done = 0;
  for (; found != std::string::npos; found = text.find(from, done)) {
    out.append(text, done, found - done);
    out += to;
    done = found + from.size();
  }
  out.append(text, done);
  text = std::move(out);
}

Replacement Replacement::from_json(const format::JsonView& json) {
  Replacement out;
  const format::JsonView pattern = json.at("pattern");
  const auto literal = pattern.find("String");
  if (!literal) out.regex_ = read_regex(pattern.at("Regex"));
  if (literal) out.literal_ = literal->string();
  if (literal && out.literal_.empty()) pattern.fail("expected a string to replace, got an empty one");
  out.content_ = json.at("content").string();
  return out;
}

void Replacement::apply(std::string& text) const {
  if (regex_)
    text = regex_->replace_all(text, content_);
  else
    replace_all(text, literal_, content_);
}

}  // namespace twistor::text
