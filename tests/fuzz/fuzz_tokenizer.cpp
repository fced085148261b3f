// SPDX-License-Identifier: Apache-2.0
// Any text as a tokenizer.json; what is accepted must encode and decode any bytes (here: the file itself).
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "twistor/base/error.hpp"
#include "twistor/text/tokenizer_formats.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace twistor;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const auto tokenizer = text::parse_tokenizer_json(text, "fuzz.json");
    (void)tokenizer->decode(tokenizer->encode_with_template(text.substr(0, 4096), 1 << 20).ids);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::internal) throw;
  }
  return 0;
}
