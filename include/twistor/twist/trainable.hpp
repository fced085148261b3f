// Twists that can be learned: named parameters, and the gradient of a loss as blocks of them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "twistor/twist/twist.hpp"

namespace twistor::twist {

/// One named parameter tensor, row-major float32.
struct Parameter {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<float> value;
  /// Its gradient comes as the rows of the first dimension that are not zero: a (V, D) matrix of which a
  /// batch touches the tokens that occur in it. Neighbours with as many rows (a weight and its bias) have the
  /// same rows.
  bool has_row_gradient = false;
  /// Length of a row.
  [[nodiscard]] std::int64_t width() const { return static_cast<std::int64_t>(value.size()) / shape.front(); }
};

/// The gradient by one parameter.
struct GradientBlock {
  std::size_t parameter = 0;       ///< index into parameters()
  std::vector<std::int64_t> rows;  ///< of values, increasing, where the parameter has_row_gradient
  std::vector<float> values;       ///< as the parameter's value, or (rows, width)
};

/// Takes the gradient of a loss, each parameter's block once. A block is the sink's to keep, so that the
/// whole gradient need not be in memory at any time.
using GradientSink = std::function<void(GradientBlock)>;

/// Terms of a loss: its derivative by log psi at one token after each hidden state.
struct LogPsiTerms {
  at::Tensor hidden;                     ///< (n, D)
  std::span<const std::int64_t> tokens;  ///< (n)
  std::span<const double> on_log_psi;    ///< (n)
  std::int64_t length = 1;               ///< T; n is a multiple of it
};

class Trainable : public Twist {
 public:
  /// Always the same names and shapes in the same order. After changing values, call refresh().
  [[nodiscard]] virtual std::vector<Parameter>& parameters() = 0;
  [[nodiscard]] virtual const std::vector<Parameter>& parameters() const = 0;
  /// d/d parameters of sum_i on_log_psi[i] * log psi(tokens[i] | hidden row i), into the sink in an order
  /// that is always the same. *Local.* Equal input gives equal bits on any number of threads.
  virtual void gradient(const LogPsiTerms& terms, const GradientSink& sink) const = 0;
  /// Makes all that is derived from the parameters (packed copies, ...) follow them.
  virtual void refresh() = 0;
  /// How log psi comes from the scores that the parameters give. A checkpoint names it, because the same
  /// parameters mean another twist under another link.
  [[nodiscard]] virtual std::string_view link() const { return "identity"; }
};

}  // namespace twistor::twist
