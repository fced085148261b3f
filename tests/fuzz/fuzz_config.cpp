// SPDX-License-Identifier: Apache-2.0
// Fuzzes the reader of configurations: any text is read or refused with an Error, and what is read survives
// to_text().
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "twistor/base/error.hpp"
#include "twistor/run/config.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // What must be there stands in front, so that more inputs get as far as the round trip.
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const std::string& whole :
       {std::string(text), "model.path = m\nprompt.ids = 1\n" + std::string(text)}) {
    try {
      const twistor::run::Config config = twistor::run::parse_config(whole);
      if (twistor::run::parse_config(to_text(config)) != config) __builtin_trap();
      (void)to_json(config);
    } catch (const twistor::Error& error) {
      if (error.kind() != twistor::ErrorKind::config) throw;
    }
  }
  return 0;
}
