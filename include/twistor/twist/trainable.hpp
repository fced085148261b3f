// SPDX-License-Identifier: Apache-2.0
// Twists that can be learned: named parameters, and the gradient of a loss as blocks of them.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "twistor/base/names.hpp"
#include "twistor/device/engine.hpp"
#include "twistor/twist/twist.hpp"
#include "twistor/twist/values.hpp"

namespace twistor::twist {

/// One named parameter tensor, row-major float32.
struct Parameter {
  std::string name;
  std::vector<std::int64_t> shape;
  Values value;
  /// Its gradient comes as the rows of the first dimension that are not zero: a (V, D) matrix of which a
  /// batch touches the tokens that occur in it. Neighbours with as many rows (a weight and its bias) have the
  /// same rows.
  bool has_row_gradient = false;
  /// Length of a row.
  [[nodiscard]] std::int64_t width() const { return static_cast<std::int64_t>(value.size()) / shape.front(); }
};

/// A parameter's numbers where `engine` computes, in its shape, to be read: they are viewed, not copied.
[[nodiscard]] at::Tensor values_on(const device::Engine& engine, const Parameter& parameter);

/// The gradient by one parameter.
struct GradientBlock {
  std::size_t parameter = 0;       ///< index into parameters()
  std::vector<std::int64_t> rows;  ///< of values, increasing, where the parameter has_row_gradient
  /// float32, contiguous, on the device of the twist's engine: as many as the parameter has, or (rows,
  /// width).
  at::Tensor values;
  /// Copies in main memory.
  [[nodiscard]] std::vector<float> numbers() const { return device::to_host(values); }
  /// Those of values in main memory.
  [[nodiscard]] std::span<const float> in_place() const { return device::numbers_in(values); }
};

/// Takes the gradient of a loss, each parameter's block once. A block is the sink's to keep, so that the
/// whole gradient need not be in memory at any time.
using GradientSink = std::function<void(GradientBlock)>;

/// How log psi comes from the scores that the parameters give.
enum class Link {
  identity,     ///< log psi is the score
  log_sigmoid,  ///< psi = 1 / (1 + exp(-score)), a probability
};
constexpr auto names_of(Link) {
  return std::array{Named{Link::identity, "identity"}, Named{Link::log_sigmoid, "log_sigmoid"}};
}

/// Gives the derivatives of a loss by the scores of the tokens [v_begin, v_end) after each hidden state, (n,
/// v_end - v_begin), of their dtype and on their device. Is asked for every tile of the vocabulary once.
using RowDerivatives = std::function<at::Tensor(std::int64_t v_begin, std::int64_t v_end)>;

/// Rows, one after another, that have seen one observation.
struct ObservedRows {
  std::int64_t n = 0;
  std::span<const std::int64_t> observation;
};

/// Terms of a loss: its derivatives by what is read from hidden states. Rows are those of whole sequences of
/// `length` tokens, one after another.
struct GradientTerms {
  at::Tensor hidden;                      ///< (n, D): the states before each token
  std::int64_t length = 1;                ///< T; n is a multiple of it. 1 where texts differ in length
  std::span<const std::int64_t> tokens;   ///< (n)
  std::span<const double> on_score;       ///< (n) by the token's score, which is log psi before its link
  RowDerivatives on_row = {};             ///< by the scores of all tokens, beside on_score; empty: none
  std::span<const double> on_value = {};  ///< (n) by the value of the state; empty: none
  std::span<const ObservedRows> observations = {};  ///< n rows in all; empty: the twist sees none
};

class Trainable : public Twist {
 public:
  /// Always the same names and shapes in the same order. After changing values, call refresh(). Of values
  /// that processes have in common each changes its part, and all call it.
  [[nodiscard]] virtual std::vector<Parameter>& parameters() = 0;
  [[nodiscard]] virtual const std::vector<Parameter>& parameters() const = 0;
  /// The gradient of the loss by the parameters, into the sink in an order that is always the same. *Local.*
  /// Equal input gives equal bits on any number of threads.
  virtual void gradient(const GradientTerms& terms, const GradientSink& sink) const = 0;
  /// Makes all that is derived from the parameters (packed copies, ...) follow them.
  virtual void refresh() = 0;
  /// A checkpoint names it, because the same parameters mean another twist under another link.
  [[nodiscard]] virtual Link link() const { return Link::identity; }
  /// Whether sum_v p0(v) psi_t(., v) = 1 whatever the parameters: then psi says which token is next, and not
  /// what a prefix is worth.
  [[nodiscard]] virtual bool is_normalised() const { return false; }
  /// Estimates of what is still to come after each hidden state, (n), for objectives that learn such a value
  /// beside psi. Only of twists that were made with one.
  [[nodiscard]] virtual std::vector<double> values(const at::Tensor& hidden) const;
};

}  // namespace twistor::twist
