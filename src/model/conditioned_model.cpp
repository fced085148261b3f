// SPDX-License-Identifier: Apache-2.0
// Encodings of observations, and hidden states beside them.
#include "twistor/model/conditioned_model.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <utility>
#include <vector>

#include "twistor/base/digest.hpp"
#include "twistor/base/error.hpp"

namespace twistor::model {
namespace {

constexpr const char* encoding_observation = "encoding the observation";

}  // namespace

ObservationEncoder::ObservationEncoder(std::shared_ptr<const LanguageModel> reader, std::int64_t width,
                                       const LanguageModel& lm)
    : reader_(std::move(reader)), width_(width), dtype_(lm.hidden_dtype()), device_(lm.engine()->device()) {}

ObservationEncoder ObservationEncoder::of_tokens(std::shared_ptr<const LanguageModel> reader) {
  TWISTOR_ASSERT(!reader->end_rule().can_end(), "an observation is read as it is");
  const LanguageModel& lm = *reader;
  const std::int64_t width = lm.hidden_size();
  return {std::move(reader), width, lm};
}

ObservationEncoder ObservationEncoder::of_classes(std::int64_t n, const LanguageModel& lm) {
  return {nullptr, n, lm};
}

at::Tensor ObservationEncoder::encode(std::span<const std::int64_t> o) const {
  TWISTOR_CHECK(!o.empty(), ErrorKind::usage, encoding_observation, "there is none");
  if (reader_ == nullptr) {
    TWISTOR_CHECK(o.size() == 1 && o.front() >= 0 && o.front() < width_, ErrorKind::usage,
                  encoding_observation,
                  fmt::format("expected one class of 0 to {}, got {} numbers from {} on", width_ - 1,
                              o.size(), o.front()));
    at::Tensor one_hot = at::zeros({width_}, at::TensorOptions(dtype_));
    one_hot.select(0, o.front()).fill_(1);
    return one_hot.to(device_);
  }
  const auto length = static_cast<std::int64_t>(o.size());
  TWISTOR_CHECK(
      length <= reader_->context_length(), ErrorKind::usage, encoding_observation,
      fmt::format("its {} tokens exceed the model's context of {}", length, reader_->context_length()),
      "set a smaller target.observation_length");
  const std::unique_ptr<Cache> cache = reader_->make_cache(1);
  return reader_->forward(o, *cache).select(1, length - 1).select(0, 0).contiguous();
}

ConditionedModel::ConditionedModel(std::shared_ptr<const LanguageModel> base, at::Tensor encoding)
    : base_(std::move(base)), encoding_(std::move(encoding)), revision_(base_->revision()) {
  TWISTOR_ASSERT(encoding_.dim() == 1 && encoding_.scalar_type() == base_->hidden_dtype(),
                 "an encoding is a row of the model's dtype");
  TWISTOR_ASSERT(!base_->end_rule().can_end(), "AbsorbingModel belongs around a conditioned model");
}

std::int64_t ConditionedModel::hidden_size() const {
  return base_->hidden_size() + encoding_.size(0);
}

std::string ConditionedModel::fingerprint() const {
  const at::Tensor host = encoding_.to(at::kCPU).contiguous();
  Sha256 digest;
  digest.add(base_->fingerprint());
  digest.add("beside an observation");
  digest.add({static_cast<const std::byte*>(host.const_data_ptr()), host.nbytes()});
  return digest.finish_hex();
}

at::Tensor ConditionedModel::with_encoding(const at::Tensor& hidden) const {
  TWISTOR_ASSERT(base_->revision() == revision_, "the encoding is that of the model as it is");
  std::vector<std::int64_t> shape = hidden.sizes().vec();
  shape.back() = encoding_.size(0);
  return at::cat({hidden, encoding_.expand(shape)}, hidden.dim() - 1);
}

at::Tensor ConditionedModel::forward(std::span<const std::int64_t> tokens, Cache& cache) const {
  return with_encoding(base_->forward(tokens, cache));
}

void ConditionedModel::logits(const at::Tensor& hidden, std::int64_t v_begin, std::int64_t v_end,
                              at::Tensor& out) const {
  base_->logits(hidden.narrow(1, 0, base_->hidden_size()), v_begin, v_end, out);
}

}  // namespace twistor::model
