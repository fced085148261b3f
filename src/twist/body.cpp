// SPDX-License-Identifier: Apache-2.0
// The body's tensors as parameters, and gradients handed on from the head.
#include "twistor/twist/body.hpp"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <span>
#include <utility>

#include "twistor/base/error.hpp"

namespace twistor::twist {
namespace {

/// Adds up gradients by the tensors of a body, in the order in which they come.
class GradientTotal {
 public:
  [[nodiscard]] model::TrainableDecoder::Sink sink() {
    return [this](std::size_t tensor, std::vector<std::int64_t> rows, const at::Tensor& gradient) {
      const std::vector<float> values = device::to_host(gradient);
      if (tensor >= sums_.size()) sums_.resize(tensor + 1);
      Sum& sum = sums_[tensor];
      if (rows.empty())
        add(values, sum.whole);
      else
        for (std::size_t i = 0, width = values.size() / rows.size(); i < rows.size(); ++i)
          add(std::span(values).subspan(i * width, width), sum.by_row[rows[i]]);
    };
  }

  void hand_over(const device::Engine& engine, const model::TrainableDecoder::Sink& sink) {
    for (std::size_t tensor = 0; tensor < sums_.size(); ++tensor) {
      std::vector<std::int64_t> rows;
      std::vector<float> values = std::move(sums_[tensor].whole);
      for (const auto& [row, sum] : sums_[tensor].by_row) {
        rows.push_back(row);
        values.insert(values.end(), sum.begin(), sum.end());
      }
      sink(tensor, std::move(rows), engine.upload(values));
    }
  }

 private:
  struct Sum {
    std::vector<float> whole;
    std::map<std::int64_t, std::vector<float>> by_row;  // of tables
  };
  static void add(std::span<const float> values, std::vector<float>& sum) {
    sum.resize(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) sum[i] += values[i];
  }
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
  std::vector<std::span<const float>> values;
  for (std::size_t i = n_head_; i < parameters_.size(); ++i)
    values.emplace_back(std::as_const(parameters_[i].value));
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
  GradientTotal total;
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
  total.hand_over(*engine_, own);
}

}  // namespace twistor::twist
