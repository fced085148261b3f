// Replacing strings.
#include "twistor/text/replacement.hpp"

#include <utility>

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

Replacement Replacement::from_json(const JsonView& json) {
  Replacement out;
  const JsonView pattern = json.at("pattern");
  if (!pattern.find("String")) pattern.fail("only a pattern of the form {\"String\": ...} is supported");
  out.pattern_ = pattern.at("String").string();
  if (out.pattern_.empty()) pattern.fail("expected a string to replace, got an empty one");
  out.content_ = json.at("content").string();
  return out;
}

}  // namespace twistor::text
