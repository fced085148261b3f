// SPDX-License-Identifier: Apache-2.0
// The body's tensors as parameters, and gradients handed on from the head.
#include "twistor/twist/body.hpp"

#include <utility>

#include "twistor/base/error.hpp"

namespace twistor::twist {

BodyTwist::BodyTwist(std::string_view form, const TwistOptions& options)
    : HeadTwist(form, options), body_(options.body), prompt_(options.prompt), n_head_(parameters_.size()) {
  TWISTOR_ASSERT(body_ != nullptr && !prompt_.empty(),
                 "a body has weights, and texts that continue a prompt");
  std::vector<model::LearnedTensor> tensors = body_->tensors();
  for (model::LearnedTensor& tensor : tensors)
    parameters_.push_back({std::string(body_prefix) + tensor.name, std::move(tensor.shape),
                           std::move(tensor.value), tensor.is_table});
  refresh();
}

void BodyTwist::refresh() {
  HeadTwist::refresh();
  std::vector<std::span<const float>> values;
  for (std::size_t i = n_head_; i < parameters_.size(); ++i) values.emplace_back(parameters_[i].value);
  body_->set_values(values);
}

void BodyTwist::gradient(const GradientTerms& terms, const GradientSink& sink) const {
  const at::Tensor on_hidden = differentiate(terms, sink, true);
  body_->gradient({prompt_, terms.tokens, terms.length}, on_hidden,
                  [&](std::size_t tensor, std::vector<std::int64_t> rows, std::vector<float> values) {
                    sink({n_head_ + tensor, std::move(rows), std::move(values)});
                  });
}

}  // namespace twistor::twist
