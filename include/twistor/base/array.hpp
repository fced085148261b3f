// SPDX-License-Identifier: Apache-2.0
// A dense array with a shape, the currency between the rooms and the files.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace twistor {

/// Row-major. values.size() is the product of shape; an empty shape is a scalar.
template <class T>
struct Array {
  std::vector<std::int64_t> shape;
  std::vector<T> values;

  /// A one-dimensional array.
  [[nodiscard]] static Array flat(std::vector<T> values) {
    const auto n = static_cast<std::int64_t>(values.size());
    return {{n}, std::move(values)};
  }
  friend bool operator==(const Array&, const Array&) = default;
};

}  // namespace twistor
