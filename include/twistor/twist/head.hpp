// Twists as heads on the frozen base model's hidden states: linear (a) and MLP (b) of Zhao et al. 2024, app.
// on training.
#pragma once

#include <cstdint>
#include <span>
#include <string>
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
/// row only for tokens that occur: each row is D weights, then the bias.
struct HeadGradient {
  std::vector<float> dense;  ///< hidden layers' parameters, one after the other in the order of parameters()
  std::vector<std::int64_t> rows;  ///< tokens, increasing
  std::vector<float> row_values;   ///< (rows, D + 1)
};

/// log psi = W_out f(h) + b_out, with f the identity (linear) or two ReLU layers of width D (mlp); h are the
/// first D columns of a hidden state, whatever stands beside them.
/// Weights are initialised N(0, 2 / (n_in + n_out)), those of the output layer times init_scale, biases 0.
/// With init_scale = 0 log psi starts at 0: the untrained twist is the base model.
class HeadTwist final : public Twist {
 public:
  /// form: "linear" or "mlp" (Error(config) otherwise). The same seed gives the same parameters.
  HeadTwist(const std::string& form, std::int64_t width, std::int64_t vocab_size, device::Precision precision,
            double init_scale, std::uint64_t seed);

  [[nodiscard]] std::int64_t vocab_size() const override { return vocab_size_; }
  [[nodiscard]] at::Tensor features(const at::Tensor& hidden) const override;
  void log_psi(const at::Tensor& features, std::int64_t v_begin, std::int64_t v_end,
               at::Tensor& out) const override;
  [[nodiscard]] std::string form() const override { return form_; }

  /// d/d parameters of sum_i weight[i] * log psi(tokens[i] | hidden row i). hidden: (n, D) float32. *Local.*
  /// Products run in float32 in a fixed order of rows, so equal input gives equal bits.
  [[nodiscard]] HeadGradient gradient(const at::Tensor& hidden, std::span<const std::int64_t> tokens,
                                      std::span<const double> weight) const;

  /// Weight and bias of each layer, output layer last. After changing values, call refresh().
  [[nodiscard]] std::vector<Parameter>& parameters() { return parameters_; }
  [[nodiscard]] const std::vector<Parameter>& parameters() const { return parameters_; }
  /// Floats in the parameters of the hidden layers: the length of HeadGradient::dense.
  [[nodiscard]] std::int64_t n_dense() const;
  /// Makes the packed copies follow the parameters.
  void refresh();

 private:
  [[nodiscard]] std::size_t n_hidden_layers() const { return parameters_.size() / 2 - 1; }
  /// Output of each hidden layer, (n, D) each.
  [[nodiscard]] std::vector<std::vector<float>> hidden_layers(std::span<const float> x, std::int64_t n) const;

  std::string form_;
  std::int64_t width_, vocab_size_;
  std::vector<Parameter> parameters_;
  std::vector<device::PackedBuffer> packed_;      // one a layer
  std::vector<device::PackedBuffer> transposed_;  // hidden layers, for the way back
};

}  // namespace twistor::twist
