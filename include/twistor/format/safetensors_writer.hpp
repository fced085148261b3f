// SPDX-License-Identifier: Apache-2.0
// Writing safetensors: float32 tensors and notes.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace twistor::format {

struct TensorShape {
  std::string name;
  std::vector<std::int64_t> shape;  ///< row-major, outermost first
};

/// What stands in a file before the values: the values of all tensors follow as float32 (little-endian), in
/// this order and without gaps, from a multiple of 64 bytes on. For files too large to be put together in
/// memory. *Local.*
[[nodiscard]] std::string safetensors_header(std::span<const TensorShape> tensors,
                                             const std::map<std::string, std::string>& metadata = {});

struct TensorValues {
  TensorShape tensor;
  std::span<const float> values;  ///< as many as the shape asks for
};

/// The bytes of a whole file, which depend on nothing but the arguments. *Local.*
[[nodiscard]] std::string safetensors_bytes(std::span<const TensorValues> tensors,
                                            const std::map<std::string, std::string>& metadata = {});

}  // namespace twistor::format
