// SPDX-License-Identifier: Apache-2.0
// Any bytes as a GGUF file: metadata, vocabulary, tensors and model are read or refused, never more.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "../support/memory_weights.hpp"
#include "model/families/families.hpp"
#include "twistor/base/error.hpp"
#include "twistor/format/gguf_file.hpp"
#include "twistor/format/weight_formats.hpp"
#include "twistor/text/tokenizer_formats.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace twistor;
  try {
    const auto file = format::GgufFile::parse(std::as_bytes(std::span(data, size)), "fuzz.gguf");
    try {
      if (const auto tokenizer = text::tokenizer_of_gguf(file))
        (void)tokenizer->decode(tokenizer->encode("it's 12 \xff o'clock"));
    } catch (const Error&) {
    }
    const std::vector<format::TensorInfo> tensors = format::gguf_tensors(file);
    try {
      (void)model::read_gguf(file, std::make_shared<test::MemoryWeights>(tensors));
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::internal) throw;
    }
    for (const format::TensorInfo& tensor : tensors) {
      const std::int64_t n_rows = tensor.shape.empty() ? 1 : tensor.shape.front();
      std::vector<float> out(static_cast<std::size_t>(tensor.numel()));
      format::read_rows_f32(tensor, 0, n_rows, out);
    }
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::internal) throw;
  }
  return 0;
}
