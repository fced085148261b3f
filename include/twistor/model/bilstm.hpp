// SPDX-License-Identifier: Apache-2.0
// A text classifier of the years before transformers, as Keras stores it: embedding, bidirectional LSTM,
// maximum over time, two dense layers.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "twistor/base/array.hpp"
#include "twistor/device/engine.hpp"
#include "twistor/device/packed_matrix.hpp"

namespace twistor::model {

/// *Local*, immutable. A row of results depends on its text alone, on the CPU's own engine to the bit.
/// float32, sums over the dense layers in float64.
class BiLstmClassifier {
 public:
  /// The arrays that make one, as Keras names them, with V ids, E dimensions, H units a direction, D hidden
  /// units and C classes:
  ///   layers/embedding/vars/0 (V, E);
  ///   layers/bidirectional/{forward,backward}_layer/cell/vars/{0,1,2}: kernel (E, 4H), recurrent (H, 4H),
  ///   bias (4H), gates in the order i, f, c, o; layers/dense/vars/{0,1}: (2H, D), (D);
  ///   layers/dense_1/vars/{0,1}: (D, C), (C).
  [[nodiscard]] static std::span<const std::string> array_names();

  /// `arrays` in the order of array_names(). Texts are padded in front, or cut there, to `length` ids.
  /// Throws Error(data) with `doing` naming the array whose shape does not fit. The LSTM runs on that
  /// engine's device, nullptr: on the CPU's own kernels.
  BiLstmClassifier(std::vector<Array<float>> arrays, std::int64_t length, const std::string& doing,
                   const std::shared_ptr<const device::Engine>& engine = nullptr);

  [[nodiscard]] std::int64_t n_ids() const { return n_ids_; }          // V
  [[nodiscard]] std::int64_t n_classes() const { return n_classes_; }  // C

  /// Logits before the final sigmoid, (n, C) row-major. Ids: 1 to V - 1; 0 is the padding.
  /// Throws Error(usage) on an id out of range.
  [[nodiscard]] std::vector<double> logits(std::span<const std::vector<std::int64_t>> texts) const;

 private:
  struct Direction {
    device::PackedBuffer kernel, recurrent;
    std::vector<float> bias;
  };
  struct Words;

  [[nodiscard]] Words read(std::span<const std::vector<std::int64_t>> texts) const;
  void run(const Direction& direction, bool is_backward, const Words& words, std::span<float> pooled) const;
  [[nodiscard]] std::vector<float> run_by_torch(const Words& words) const;
  void classify(std::span<const float> pooled, std::span<double> logits) const;

  std::int64_t length_;
  std::int64_t n_ids_ = 0, n_dims_ = 0, n_units_ = 0, n_hidden_ = 0, n_classes_ = 0;
  Array<float> embedding_;
  Direction forward_, backward_;
  Array<float> dense_, dense_bias_, output_, output_bias_;
  std::vector<at::Tensor> torch_;  // LSTM of LibTorch's on another device; empty: ours
};

}  // namespace twistor::model
