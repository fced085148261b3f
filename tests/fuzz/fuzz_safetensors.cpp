// SPDX-License-Identifier: Apache-2.0
// Any bytes as a safetensors file.
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "twistor/base/error.hpp"
#include "twistor/format/weight_formats.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace twistor;
  try {
    for (const format::TensorInfo& tensor :
         format::parse_safetensors(std::as_bytes(std::span(data, size)), "fuzz")) {
      const std::int64_t n_rows = tensor.shape.empty() ? 1 : tensor.shape.front();
      std::vector<float> out(static_cast<std::size_t>(tensor.numel()));
      format::read_rows_f32(tensor, 0, n_rows, out);
    }
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::internal) throw;
  }
  return 0;
}
