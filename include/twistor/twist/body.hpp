// SPDX-License-Identifier: Apache-2.0
// Twists with a body of their own: a learned copy of the language model (c, d of Zhao et al. 2024), or one
// with low-rank additions, and a head on its hidden states.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "twistor/model/trainable_decoder.hpp"
#include "twistor/twist/head.hpp"

namespace twistor::twist {

/// A head whose input learns with it. The body begins as the language model, so that the untrained twist is
/// what the head alone would be.
class BodyTwist final : public HeadTwist {
 public:
  /// As HeadTwist, with options.body, options.first_column of the hidden states that its sampler gives, and
  /// options.prompt. One twist to a body at a time.
  BodyTwist(std::string_view form, const TwistOptions& options);

  /// The head's blocks first. The body runs once more over prompt and tokens, and over observations if it
  /// reads them, in the arithmetic that gradients come from.
  void gradient(const GradientTerms& terms, const GradientSink& sink) const override;
  void refresh() override;

 private:
  std::shared_ptr<model::TrainableDecoder> body_;
  std::vector<std::int64_t> prompt_;
  std::size_t n_head_;      // parameters of the head
  std::int64_t width_;      // D of the body
  bool reads_observation_;  // and makes the columns beside them
  std::shared_ptr<const device::Engine> engine_;
};

/// What a body's tensors are called among a twist's parameters.
inline constexpr std::string_view body_prefix = "body.";

}  // namespace twistor::twist
