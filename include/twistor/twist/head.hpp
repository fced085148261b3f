// Twists as heads on the frozen base model's hidden states: linear (a) and MLP (b) of Zhao et al. 2024, app.
// on training.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "twistor/device/packed_matrix.hpp"
#include "twistor/twist/twist.hpp"

namespace twistor::twist {

/// One named parameter tensor, row-major float32.
struct Parameter {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<float> value;
};

/// Gradient of a loss that is a weighted sum of log psi at chosen tokens. The output layer's gradient has a
/// row only for tokens that occur: each row is D weights, then the bias. A tied twist has none.
struct HeadGradient {
  std::vector<float> dense;  ///< hidden layers' parameters, one after the other in the order of parameters()
  std::vector<std::int64_t> rows;  ///< tokens, increasing
  std::vector<float> row_values;   ///< (rows, D + 1)
};

/// log psi = W_out f(h) + b_out, with f the identity (linear) or two ReLU layers of width D (mlp); or, tied
/// to the language model's frozen output embedding E (V, D),
///
///     log psi(h, v) = <E_v, A f(h / rms(h)) + a> / (D rms(E))          (tied_linear, tied_mlp)
///
/// so that words of like meaning share what is learned, and A (D, D) takes the place of W_out (V, D). The
/// norms make learning rates fit models of all widths and scales.
///
/// Weights are initialised N(0, 2 / (n_in + n_out)), those of the last layer (W_out or A) times init_scale,
/// biases 0. With init_scale = 0 log psi starts at 0: the untrained twist is the base model.
class HeadTwist final : public Twist {
 public:
  /// form: one of head_forms() (Error(config) otherwise, or if it is tied and there is no output matrix,
  /// which must outlive the twist). The same seed gives the same parameters.
  HeadTwist(const std::string& form, std::int64_t width, std::int64_t vocab_size, device::Precision precision,
            double init_scale, std::uint64_t seed, const device::PackedMatrix* output_matrix = nullptr);

  [[nodiscard]] std::int64_t vocab_size() const override { return vocab_size_; }
  [[nodiscard]] at::Tensor features(const at::Tensor& hidden) const override;
  void log_psi(const at::Tensor& features, std::int64_t v_begin, std::int64_t v_end,
               at::Tensor& out) const override;
  [[nodiscard]] std::string form() const override { return form_; }

  /// d/d parameters of sum_i weight[i] * log psi(tokens[i] | hidden row i). hidden: (n, D) float32. *Local.*
  /// Products run in float32 in a fixed order of rows, so equal input gives equal bits.
  [[nodiscard]] HeadGradient gradient(const at::Tensor& hidden, std::span<const std::int64_t> tokens,
                                      std::span<const double> weight) const;

  /// Whether the last two parameters are an output layer (V, D), whose gradient comes by rows.
  [[nodiscard]] bool learns_output() const { return tied_ == nullptr; }
  /// Weight and bias of each layer, the last layer last. After changing values, call refresh().
  [[nodiscard]] std::vector<Parameter>& parameters() { return parameters_; }
  [[nodiscard]] const std::vector<Parameter>& parameters() const { return parameters_; }
  /// Floats in the parameters of all layers (D, D): the length of HeadGradient::dense.
  [[nodiscard]] std::int64_t n_dense() const;
  /// Makes the packed copies follow the parameters.
  void refresh();

 private:
  /// Layers (D, D): hidden ones, then A if the twist is tied.
  [[nodiscard]] std::size_t n_dense_layers() const {
    return parameters_.size() / 2 - (learns_output() ? 1 : 0);
  }
  [[nodiscard]] bool has_relu(std::size_t layer) const { return layer < n_relu_; }
  /// hidden (n, D), each row over its root mean square if the twist is tied.
  [[nodiscard]] std::vector<float> input(const at::Tensor& hidden) const;
  /// Output of each dense layer, (n, D) each.
  [[nodiscard]] std::vector<std::vector<float>> dense_layers(std::span<const float> x, std::int64_t n) const;
  /// Gradient by the last dense layer's output: a row of the output matrix for each token.
  [[nodiscard]] std::vector<float> output_rows(std::span<const std::int64_t> tokens,
                                               std::span<const double> weight) const;
  void dense_gradient(std::span<const float> x, const std::vector<std::vector<float>>& layers,
                      std::vector<float> back, std::span<float> out) const;

  std::string form_;
  std::int64_t width_, vocab_size_;
  std::size_t n_relu_ = 0;
  const device::PackedMatrix* tied_ = nullptr;
  float scale_ = 1;  // of the last dense layer's output; 1 / (D rms(E)) if tied
  std::vector<Parameter> parameters_;
  std::vector<device::PackedBuffer> packed_;      // one a layer
  std::vector<device::PackedBuffer> transposed_;  // dense layers, for the way back
};

/// Names of the forms, as twist.form takes them.
[[nodiscard]] std::span<const std::string_view> head_forms();

}  // namespace twistor::twist
