// SPDX-License-Identifier: Apache-2.0
// A GPT-2 in a hundred lines of tensor operations, for training the tiny model and for exact sums over its
// sequences.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace twistor::tiny {

/// Sizes of a GPT-2; the names in config.json are those of the Hugging Face layout.
struct Shape {
  std::int64_t n_vocab = 0;  // V
  std::int64_t n_positions = 64;
  std::int64_t n_embd = 64;  // D
  std::int64_t n_layer = 2;
  std::int64_t n_head = 4;
  friend bool operator==(const Shape&, const Shape&) = default;
};

inline constexpr double layer_norm_epsilon = 1e-5;

/// Keys and values of a common prefix, for each layer: (1, n_head, L, D / n_head).
using Past = std::vector<std::pair<at::Tensor, at::Tensor>>;

/// The parameters by their Hugging Face names, and the forward pass. Copies share the tensors.
class Gpt {
 public:
  /// Weights N(0, 0.02), the two that write into the residual stream divided by sqrt(2 n_layer); biases 0
  /// (GPT-2's own).
  Gpt(const Shape& shape, std::uint64_t seed);
  /// From tensors in the order of parameter_shapes().
  Gpt(const Shape& shape, std::vector<at::Tensor> parameters);

  [[nodiscard]] const Shape& shape() const noexcept { return shape_; }
  [[nodiscard]] const std::vector<at::Tensor>& parameters() const noexcept { return parameters_; }
  /// The same model in float64.
  [[nodiscard]] Gpt to_double() const;

  /// ids (B, S) int64 -> logits (B, S, V). With `past` the ids stand after that prefix, the same for all
  /// rows. `present` (B must be 1) receives the keys and values of past and ids together.
  [[nodiscard]] at::Tensor logits(const at::Tensor& ids, const Past* past = nullptr,
                                  Past* present = nullptr) const;

  /// Name and shape of every parameter, in the order of the file.
  [[nodiscard]] static std::vector<std::pair<std::string, std::vector<std::int64_t>>> parameter_shapes(
      const Shape& shape);

 private:
  [[nodiscard]] at::Tensor attention(const at::Tensor& x, std::int64_t layer, const Past* past,
                                     Past* present) const;

  Shape shape_;
  std::vector<at::Tensor> parameters_;
};

/// Adam with the usual constants; the moments live as long as the object.
class Adam {
 public:
  explicit Adam(std::vector<at::Tensor> parameters);
  /// One step along the gradients that the last backward() left, then clears them.
  void step(double learning_rate);

 private:
  std::vector<at::Tensor> parameters_;
  std::vector<at::Tensor> mean_, square_;
  std::int64_t n_steps_ = 0;
};

}  // namespace twistor::tiny
