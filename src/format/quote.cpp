// SPDX-License-Identifier: Apache-2.0
// Strings from files, made fit for a message.
#include "twistor/format/quote.hpp"

#include <fmt/format.h>

#include "twistor/base/utf8.hpp"

namespace twistor::format {

std::string quote(std::string_view text) {
  constexpr std::size_t longest = 60;
  std::string out = "'";
  std::size_t at = 0;
  while (at < text.size() && at < longest) {
    const CodePoint point = next_code_point(text, at);
    const std::string_view bytes = text.substr(at, point.size);
    if (point.is_valid && point.value >= 0x20 && point.value != 0x7f)
      out += bytes;
    else
      for (const char byte : bytes) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
    at += point.size;
  }
  return out + (at < text.size() ? "...'" : "'");
}

}  // namespace twistor::format
