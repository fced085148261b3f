// SPDX-License-Identifier: Apache-2.0
// Putting other values where a decoder's products take their weights from. Private to the model room.
#pragma once

#include <utility>
#include <vector>

#include "twistor/model/decoder.hpp"

namespace twistor::model {

/// Writes what some stored tensors have become; what is undefined stays.
class WeightChanger {
 public:
  WeightChanger(const device::Engine& engine, ValuesOf values)
      : engine_(engine), values_(std::move(values)) {}

  void norm(const NormSource& from, device::Norm& to) const;
  /// Weight and bias.
  void linear(const MatrixSource& from, device::Linear& to) const;
  void table(const format::TensorInfo& from, device::Table& to) const;

 private:
  /// Of each part; asked for once where neighbours are pieces of one stored matrix.
  [[nodiscard]] std::vector<at::Tensor> values_of_parts(const MatrixSource& source) const;
  /// Into panels, with the file's rows of parts that stay.
  void pack(const MatrixSource& source, const std::vector<at::Tensor>& values, device::Weight& to) const;

  const device::Engine& engine_;
  ValuesOf values_;
};

}  // namespace twistor::model
