// SPDX-License-Identifier: Apache-2.0
// The weight formats, parsed from memory; weight_file.hpp has the functions that open files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "twistor/format/gguf_file.hpp"
#include "twistor/format/weight_file.hpp"

namespace twistor::format {

/// How a StoredType lies in memory: blocks of `block_elements` neighbours of one row.
struct StoredLayout {
  std::string_view name;
  std::int64_t block_elements = 1;
  std::int64_t block_bytes = 0;  ///< 0: not known to us, never in a list of tensors
};
[[nodiscard]] StoredLayout layout_of(StoredType type);

/// Product of the sizes; throws Error(data) with `doing` and `what` if a size is negative or the product
/// overflows.
[[nodiscard]] std::int64_t checked_numel(std::span<const std::int64_t> shape, const std::string& doing,
                                         const std::string& what);

/// Tensors of one safetensors file, sorted by name; they view `bytes`. `name` is for messages. Throws
/// Error(data).
[[nodiscard]] std::vector<TensorInfo> parse_safetensors(std::span<const std::byte> bytes,
                                                        const std::string& name);

/// "__metadata__" of a safetensors file; empty if it has none. Throws Error(data).
[[nodiscard]] std::map<std::string, std::string> safetensors_metadata(std::span<const std::byte> bytes,
                                                                      const std::string& name);

/// Tensors of a parsed GGUF file, sorted by name; they view its data. Throws Error(data), also on a type that
/// cannot be read, naming those that can.
[[nodiscard]] std::vector<TensorInfo> gguf_tensors(const GgufFile& file);

}  // namespace twistor::format
