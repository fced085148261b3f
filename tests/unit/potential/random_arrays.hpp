// SPDX-License-Identifier: Apache-2.0
// A classifier without a file: this room cannot read HDF5.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "twistor/base/philox.hpp"
#include "twistor/model/bilstm.hpp"

namespace twistor::test {

/// Arrays of BiLstmClassifier::array_names() with V = 4, E = 3, H = 2, D = 5, C = 6.
inline std::vector<Array<float>> random_arrays(const std::filesystem::path&, std::span<const std::string>) {
  const std::vector<std::vector<std::int64_t>> shapes = {{4, 3}, {3, 8}, {2, 8}, {8},    {3, 8}, {2, 8},
                                                         {8},    {4, 5}, {5},    {5, 6}, {6}};
  Philox random(1, Stream::test, 0, 0);
  std::vector<Array<float>> arrays;
  for (const auto& shape : shapes) {
    std::size_t n = 1;
    for (const std::int64_t size : shape) n *= static_cast<std::size_t>(size);
    Array<float> array{shape, std::vector<float>(n)};
    for (float& value : array.values) value = static_cast<float>(random.uniform() * 2 - 1);
    arrays.push_back(std::move(array));
  }
  return arrays;
}

}  // namespace twistor::test
