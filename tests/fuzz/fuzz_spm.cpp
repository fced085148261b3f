// SPDX-License-Identifier: Apache-2.0
// Any bytes as an spm.model; what is accepted must encode and decode any bytes (here: the file itself).
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "twistor/base/error.hpp"
#include "twistor/text/tokenizer_formats.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace twistor;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    const auto tokenizer = text::parse_spm_model(bytes, "fuzz.model");
    (void)tokenizer->decode(tokenizer->encode_with_template(bytes.substr(0, 4096), 1 << 20).ids);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::internal) throw;
  }
  return 0;
}
