// Tensors that lie in memory, as a weight file.
#pragma once

#include <filesystem>
#include <utility>
#include <vector>

#include "twistor/model/weight_file.hpp"

namespace twistor::test {

/// Views bytes that the caller keeps alive.
class MemoryWeights final : public model::WeightFile {
 public:
  explicit MemoryWeights(std::vector<model::TensorInfo> tensors) : tensors_(std::move(tensors)) {}
  const std::vector<model::TensorInfo>& tensors() const override { return tensors_; }
  std::filesystem::path path() const override { return "memory"; }

 private:
  std::vector<model::TensorInfo> tensors_;
};

}  // namespace twistor::test
