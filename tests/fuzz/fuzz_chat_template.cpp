// SPDX-License-Identifier: Apache-2.0
// Any bytes as a chat template, before the first byte 0, and as messages after it: rendered, or refused.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "twistor/base/error.hpp"
#include "twistor/text/chat_template.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace twistor;
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const std::size_t end = all.find('\0');
  const std::string_view messages =
      end == std::string_view::npos
          ? R"([{"role": "user", "content": "a b"}, {"role": "assistant", "content": "c "}])"
          : all.substr(end + 1);
  try {
    const text::ChatTemplate chat({std::string(all.substr(0, end)), "fuzz", "<s>", "</s>"});
    (void)chat.render(messages, R"({"x": {"y": [1, 2.5, null, true, "z"]}})");
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::internal) throw;
  }
  return 0;
}
