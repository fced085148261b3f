// SPDX-License-Identifier: Apache-2.0
// Any bytes as a config.json: every family's reader accepts or refuses it, and without weights all are
// refused.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string_view>

#include "../support/memory_weights.hpp"
#include "model/families/families.hpp"
#include "twistor/base/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace twistor;
  try {
    const nlohmann::json document =
        format::parse_json({reinterpret_cast<const char*>(data), size}, "reading config.json");
    (void)model::read_config(format::JsonView(document, "reading config.json"),
                             std::make_shared<test::MemoryWeights>(std::vector<format::TensorInfo>{}));
    std::abort();
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::internal) throw;
  }
  return 0;
}
