// Putting special tokens in front of a text, once, and taking them away.
#include "twistor/text/front.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "twistor/format/quote.hpp"

namespace twistor::text {

bool has_front(const Tokenizer& tokenizer, std::span<const std::int64_t> ids) {
  const std::vector<std::int64_t> front = tokenizer.special_tokens().before;
  return !front.empty() && ids.size() >= front.size() && std::ranges::equal(ids.first(front.size()), front);
}

std::vector<std::int64_t> encode_from_start(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<std::int64_t> ids = tokenizer.encode(text);
  if (has_front(tokenizer, ids)) return ids;
  const std::vector<std::int64_t> front = tokenizer.special_tokens().before;
  ids.insert(ids.begin(), front.begin(), front.end());
  return ids;
}

std::vector<std::int64_t> encode_text(const Tokenizer& tokenizer, std::string_view text, FrontTokens front) {
  return front == FrontTokens::none ? tokenizer.encode(text) : encode_from_start(tokenizer, text);
}

std::string describe_front(const Tokenizer& tokenizer) {
  const SpecialTokens special = tokenizer.special_tokens();
  std::string out;
  for (const std::int64_t id : special.before)
    out +=
        fmt::format("{}{} (id {})", out.empty() ? "" : ", ", format::quote(tokenizer.decode({&id, 1})), id);
  if (out.empty()) out = "nothing";
  return special.rule.empty() ? out : fmt::format("{}, by {}", out, special.rule);
}

std::span<const std::int64_t> without_front(const Tokenizer& tokenizer, std::span<const std::int64_t> ids) {
  return has_front(tokenizer, ids) ? ids.subspan(tokenizer.special_tokens().before.size()) : ids;
}

}  // namespace twistor::text
