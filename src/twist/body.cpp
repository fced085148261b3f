// SPDX-License-Identifier: Apache-2.0
// The body's tensors as parameters, and gradients handed on from the head.
#include "twistor/twist/body.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <span>
#include <utility>

#include "twistor/base/error.hpp"

namespace twistor::twist {
namespace {

/// Adds up gradients by the tensors of a body, in the order in which they come, on the engine's device.
class GradientTotal {
 public:
  explicit GradientTotal(const device::Engine& engine) : engine_(engine) {}

  [[nodiscard]] model::TrainableDecoder::Sink sink() {
    return [this](std::size_t tensor, std::vector<std::int64_t> rows, const at::Tensor& gradient) {
      if (tensor >= sums_.size()) sums_.resize(tensor + 1);
      Sum& sum = sums_[tensor];
      if (rows.empty()) {
        sum.whole = sum.whole.defined() ? sum.whole.add_(gradient) : gradient;
        return;
      }
      sum.rows.insert(sum.rows.end(), rows.begin(), rows.end());
      sum.parts.push_back(gradient);
    };
  }

  void hand_over(const model::TrainableDecoder::Sink& sink) {
    for (std::size_t tensor = 0; tensor < sums_.size(); ++tensor) {
      Sum& sum = sums_[tensor];
      if (sum.parts.empty()) {
        sink(tensor, {}, std::move(sum.whole));
        continue;
      }
      std::vector<std::int64_t> rows = sum.rows;
      std::ranges::sort(rows);
      rows.erase(std::ranges::unique(rows).begin(), rows.end());
      std::vector<std::int64_t> group_of;
      for (const std::int64_t row : sum.rows)
        group_of.push_back(std::ranges::lower_bound(rows, row) - rows.begin());
      const std::vector<float> once(group_of.size(), 1.0F);
      at::Tensor total = engine_.sum_by_group(at::cat(sum.parts), once, group_of, std::ssize(rows));
      sink(tensor, std::move(rows), std::move(total));
    }
  }

 private:
  struct Sum {
    at::Tensor whole;
    std::vector<std::int64_t> rows;  // of tables, in the order in which they came, with
    std::vector<at::Tensor> parts;   // their gradients
  };
  const device::Engine& engine_;
  std::vector<Sum> sums_;
};

}  // namespace

BodyTwist::BodyTwist(std::string_view form, const TwistOptions& options)
    : HeadTwist(form, options),
      body_(options.body),
      prompt_(options.prompt),
      n_head_(parameters_.size()),
      width_(options.width),
      reads_observation_(options.body_reads_observation),
      engine_(options.engine) {
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
  std::vector<at::Tensor> values;
  for (std::size_t i = n_head_; i < parameters_.size(); ++i)
    values.push_back(values_on(*engine_, parameters_[i]));
  body_->set_values(values);
}

void BodyTwist::gradient(const GradientTerms& terms, const GradientSink& sink) const {
  const at::Tensor on_hidden = differentiate(terms, sink, true);
  const auto own = [&](std::size_t tensor, std::vector<std::int64_t> rows, at::Tensor values) {
    sink({n_head_ + tensor, std::move(rows), std::move(values)});
  };
  const model::Continuations texts{prompt_, terms.tokens, terms.length};
  if (on_hidden.size(1) == width_) return body_->gradient(texts, on_hidden, own);
  const at::Tensor on_texts = on_hidden.narrow(1, 0, width_).contiguous();
  if (!reads_observation_) return body_->gradient(texts, on_texts, own);
  GradientTotal total(*engine_);
  body_->gradient(texts, on_texts, total.sink());
  const at::Tensor on_encodings = on_hidden.narrow(1, width_, on_hidden.size(1) - width_);
  const std::int64_t any_token = 0;
  std::int64_t begin = 0;
  for (const ObservedRows& rows : terms.observations) {
    // An encoding is the state before whatever would follow o.
    const at::Tensor on = engine_->column_sums(on_encodings.narrow(0, begin, rows.n).contiguous());
    body_->gradient({rows.observation, {&any_token, 1}, 1}, on.view({1, -1}), total.sink());
    begin += rows.n;
  }
  TWISTOR_ASSERT(begin == on_hidden.size(0), "every row has seen an observation");
  total.hand_over(own);
}

}  // namespace twistor::twist
