// SPDX-License-Identifier: Apache-2.0
// Decoding ids of which some may be unknown to the tokenizer.
#include "twistor/text/decode.hpp"

namespace twistor::text {

std::string decode_any(const Tokenizer& tokenizer, std::span<const std::int64_t> ids) {
  std::string text;
  std::size_t begin = 0;
  const auto flush = [&](std::size_t end) {
    if (end > begin) text += tokenizer.decode(ids.subspan(begin, end - begin));
  };
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (tokenizer.has_token(ids[i])) continue;
    flush(i);
    text += "\uFFFD";
    begin = i + 1;
  }
  flush(ids.size());
  return text;
}

}  // namespace twistor::text
