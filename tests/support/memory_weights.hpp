// SPDX-License-Identifier: Apache-2.0
// Tensors that lie in memory, as a weight file.
#pragma once

#include <filesystem>
#include <utility>
#include <vector>

#include "twistor/format/weight_file.hpp"

namespace twistor::test {

/// Views bytes that the caller keeps alive.
class MemoryWeights final : public format::WeightFile {
 public:
  explicit MemoryWeights(std::vector<format::TensorInfo> tensors) : tensors_(std::move(tensors)) {}
  const std::vector<format::TensorInfo>& tensors() const override { return tensors_; }
  std::filesystem::path path() const override { return "memory"; }

 private:
  std::vector<format::TensorInfo> tensors_;
};

}  // namespace twistor::test
