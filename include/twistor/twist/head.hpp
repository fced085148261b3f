// SPDX-License-Identifier: Apache-2.0
// Twists as heads on the frozen base model's hidden states: linear (a) and MLP (b) of Zhao et al. 2024, app.
// on training.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "twistor/device/engine.hpp"
#include "twistor/twist/registry.hpp"
#include "twistor/twist/trainable.hpp"

namespace twistor::twist {

/// score = W_out f(h) + b_out, with f the identity (linear) or two ReLU layers of width D (mlp); or, tied
/// to the language model's frozen output embedding E (V, D),
///
///     score(h, v) = <E_v, A f(h / rms(h)) + a> / (D rms(E))          (tied_linear, tied_mlp)
///
/// so that words of like meaning share what is learned, and A (D, D) takes the place of W_out (V, D). The
/// norms make learning rates fit models of all widths and scales. h are D columns of a hidden state, whatever
/// stands beside them: the first ones, those of the language model, or those of the twist's own body.
///
/// Weights are initialised N(0, 2 / (n_in + n_out)), those of the last layer (W_out or A) times init_scale,
/// biases 0. With init_scale = 0 the scores start at 0; under the identity link the untrained twist is the
/// base model then.
class HeadTwist : public Trainable {
 public:
  /// form: one of head_forms() (Error(config) otherwise, or if it is tied and there is no output matrix,
  /// which must outlive the twist). The same options give the same parameters.
  HeadTwist(std::string_view form, const TwistOptions& options);

  [[nodiscard]] std::int64_t vocab_size() const override { return vocab_size_; }
  [[nodiscard]] at::Tensor features(const at::Tensor& hidden) const override;
  void log_psi(const at::Tensor& features, std::int64_t v_begin, std::int64_t v_end,
               at::Tensor& out) const override;
  [[nodiscard]] std::string form() const override { return form_; }
  [[nodiscard]] Link link() const override { return link_; }
  [[nodiscard]] std::vector<double> values(const at::Tensor& hidden) const override;

  /// Weight and bias of each layer, the last layer last, then those of the value.
  [[nodiscard]] std::vector<Parameter>& parameters() override { return parameters_; }
  [[nodiscard]] const std::vector<Parameter>& parameters() const override { return parameters_; }
  /// Products run in float32 in a fixed order of rows. The output layer comes first, then the others from the
  /// last to the first.
  void gradient(const GradientTerms& terms, const GradientSink& sink) const override {
    (void)differentiate(terms, sink, false);
  }
  void refresh() override;

 protected:
  /// gradient(), and the loss's gradient by the columns that the head reads, (n, D), if that is asked for.
  at::Tensor differentiate(const GradientTerms& terms, const GradientSink& sink, bool wants_hidden) const;

  /// Those of the head first, then those that a derived twist adds.
  std::vector<Parameter> parameters_;

 private:
  /// Layers (D, D): hidden ones, then A if the twist is tied.
  [[nodiscard]] std::size_t n_dense_layers() const { return layers_.size() - (tied_ == nullptr ? 1 : 0); }
  [[nodiscard]] bool has_relu(std::size_t layer) const { return layer < n_relu_; }
  /// hidden (n, D), each row over its root mean square if the twist is tied.
  [[nodiscard]] at::Tensor input(const at::Tensor& hidden) const;
  /// Output of each dense layer, (n, D) each.
  [[nodiscard]] std::vector<at::Tensor> dense_layers(const at::Tensor& x) const;
  /// Rows of the output matrix as it is, which the engine may hold rounded where it is a parameter.
  [[nodiscard]] at::Tensor output_rows(std::span<const std::int64_t> tokens) const;
  // The output layer's part of a gradient; give the gradient by the last dense layer's output, (n, D), if
  // it is asked for: by the scores of the tokens alone, or of whole rows.
  [[nodiscard]] at::Tensor token_gradient(const at::Tensor& features, const GradientTerms& terms,
                                          const GradientSink& sink, bool wants_input) const;
  [[nodiscard]] at::Tensor row_gradient(const at::Tensor& features, const GradientTerms& terms,
                                        const GradientSink& sink, bool wants_input) const;
  /// From the gradient by the output of the last dense layer, `back`, to that by the first one's input if it
  /// is asked for.
  [[nodiscard]] at::Tensor dense_gradient(const at::Tensor& x, const std::vector<at::Tensor>& layers,
                                          at::Tensor back, const GradientSink& sink, bool wants_input) const;
  void value_gradient(const at::Tensor& input, std::span<const double> on_value,
                      const GradientSink& sink) const;
  /// Makes the last layer where it is the twist's own, (V, D).
  void add_output(const TwistOptions& options, std::uint32_t index);
  /// Puts the values of a layer's matrix where products take them from.
  void pack(std::size_t layer);
  /// refresh() of an engine that keeps tensors.
  void refresh_tensors();
  [[nodiscard]] at::Tensor values_of(std::size_t parameter) const {
    return values_on(*engine_, parameters_[parameter]);
  }
  [[nodiscard]] std::size_t value_parameter() const { return 2 * layers_.size(); }
  /// The columns that the head reads, (n, D).
  [[nodiscard]] at::Tensor columns(const at::Tensor& hidden) const {
    return hidden.narrow(1, first_column_, width_);
  }

  std::string form_;
  Link link_;
  std::int64_t width_, vocab_size_, first_column_;
  std::shared_ptr<const device::Engine> engine_;
  std::size_t n_relu_ = 0;
  bool has_value_ = false;
  const device::Weight* tied_ = nullptr;
  float scale_ = 1;                         // of the last dense layer's output; 1 / (D rms(E)) if tied
  std::vector<device::Linear> layers_;      // as the engine takes them
  std::shared_ptr<CommonMemory> packed_;    // the last layer's matrix, where processes have it in common
  std::vector<device::Linear> transposed_;  // dense layers without bias, for the way back
  device::Linear value_;
};

/// Names of the forms, as twist.form takes them.
[[nodiscard]] std::span<const std::string_view> head_forms();

}  // namespace twistor::twist
