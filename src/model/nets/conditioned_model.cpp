// SPDX-License-Identifier: Apache-2.0
// Encodings of observations, and hidden states beside them.
#include "twistor/model/conditioned_model.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <numeric>
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

at::Tensor ObservationEncoder::encode(std::span<const std::int64_t> o, std::int64_t m) const {
  TWISTOR_CHECK(!o.empty(), ErrorKind::usage, encoding_observation, "there is none");
  const std::int64_t length = static_cast<std::int64_t>(o.size()) / m;
  TWISTOR_ASSERT(length * m == static_cast<std::int64_t>(o.size()), "observations have equal lengths");
  if (reader_ == nullptr) {
    at::Tensor one_hot = at::zeros({m, width_}, at::TensorOptions(dtype_));
    for (std::int64_t i = 0; i < m; ++i) {
      const std::int64_t label = o[static_cast<std::size_t>(i * length)];
      TWISTOR_CHECK(
          length == 1 && label >= 0 && label < width_, ErrorKind::usage, encoding_observation,
          fmt::format("expected one class of 0 to {}, got {} numbers from {} on", width_ - 1, length, label));
      one_hot.select(0, i).select(0, label).fill_(1);
    }
    return one_hot.to(device_);
  }
  TWISTOR_CHECK(
      length <= reader_->context_length(), ErrorKind::usage, encoding_observation,
      fmt::format("its {} tokens exceed the model's context of {}", length, reader_->context_length()),
      "set a smaller target.observation_length");
  const std::unique_ptr<Cache> cache = reader_->make_cache(m);
  return reader_->forward(o, *cache).select(1, length - 1).contiguous();
}

namespace {

/// A cache that knows which observation each sequence goes with.
class ObservedCache final : public Cache {
 public:
  ObservedCache(std::unique_ptr<Cache> base, std::vector<std::int64_t> of)
      : base_(std::move(base)), of_(std::move(of)) {}

  [[nodiscard]] Cache& base() const { return *base_; }
  [[nodiscard]] std::span<const std::int64_t> observations() const { return of_; }

  [[nodiscard]] std::int64_t n_sequences() const override { return base_->n_sequences(); }
  [[nodiscard]] std::int64_t length() const override { return base_->length(); }
  void select(std::span<const std::int64_t> parents) override {
    base_->select(parents);
    std::vector<std::int64_t> of;
    for (const std::int64_t parent : parents) of.push_back(of_[static_cast<std::size_t>(parent)]);
    of_ = std::move(of);
  }
  void expect(std::int64_t n_sequences, std::int64_t n_tokens) override {
    base_->expect(n_sequences, n_tokens);
  }
  [[nodiscard]] std::unique_ptr<Cache> fork() const override {
    return std::make_unique<ObservedCache>(base_->fork(), of_);
  }
  [[nodiscard]] std::vector<std::byte> export_sequence(std::int64_t, std::int64_t) const override {
    refuse();
  }
  std::int64_t import_sequence(std::span<const std::int64_t>, std::int64_t,
                               std::span<const std::byte>) override {
    refuse();
  }
  [[nodiscard]] CacheUse use() const override { return base_->use(); }

 private:
  [[noreturn]] static void refuse() {
    throw Error(ErrorKind::internal, "moving a sequence", "sequences of several observations stay on a rank");
  }

  std::unique_ptr<Cache> base_;
  std::vector<std::int64_t> of_;  // by sequence
};

}  // namespace

ConditionedModel::ConditionedModel(std::shared_ptr<const LanguageModel> base, at::Tensor encodings)
    : base_(std::move(base)), encodings_(std::move(encodings)), revision_(base_->revision()) {
  TWISTOR_ASSERT(encodings_.dim() == 2 && encodings_.scalar_type() == base_->hidden_dtype(),
                 "encodings are rows of the model's dtype");
  TWISTOR_ASSERT(!base_->end_rule().can_end(), "AbsorbingModel belongs around a conditioned model");
}

std::unique_ptr<Cache> ConditionedModel::with_observations(std::unique_ptr<Cache> of_base) const {
  std::vector<std::int64_t> of(static_cast<std::size_t>(of_base->n_sequences()));
  TWISTOR_ASSERT(of_base->n_sequences() == encodings_.size(0), "a sequence for each observation");
  std::iota(of.begin(), of.end(), std::int64_t{0});
  return std::make_unique<ObservedCache>(std::move(of_base), std::move(of));
}

std::int64_t ConditionedModel::hidden_size() const {
  return base_->hidden_size() + encodings_.size(1);
}

std::string ConditionedModel::fingerprint() const {
  const at::Tensor host = encodings_.to(at::kCPU).contiguous();
  Sha256 digest;
  digest.add(base_->fingerprint());
  digest.add("beside an observation");
  digest.add({static_cast<const std::byte*>(host.const_data_ptr()), host.nbytes()});
  return digest.finish_hex();
}

at::Tensor ConditionedModel::with_encoding(const at::Tensor& hidden, std::span<const std::int64_t> of) const {
  TWISTOR_ASSERT(base_->revision() == revision_, "the encodings are those of the model as it is");
  std::vector<std::int64_t> shape = hidden.sizes().vec();
  shape.back() = encodings_.size(1);
  if (of.empty()) return at::cat({hidden, encodings_.select(0, 0).expand(shape)}, hidden.dim() - 1);
  const at::Tensor index =
      at::from_blob(const_cast<std::int64_t*>(of.data()), {static_cast<std::int64_t>(of.size())}, at::kLong);
  std::vector<std::int64_t> one(shape.size(), 1);
  one.front() = shape.front();
  one.back() = shape.back();
  const at::Tensor rows = at::index_select(encodings_, 0, index.to(encodings_.device())).view(one);
  return at::cat({hidden, rows.expand(shape)}, hidden.dim() - 1);
}

at::Tensor ConditionedModel::forward(std::span<const std::int64_t> tokens, Cache& cache) const {
  const auto* const observed = dynamic_cast<ObservedCache*>(&cache);
  if (observed == nullptr) return with_encoding(base_->forward(tokens, cache));
  return with_encoding(base_->forward(tokens, observed->base()), observed->observations());
}

void ConditionedModel::logits(const at::Tensor& hidden, std::int64_t v_begin, std::int64_t v_end,
                              at::Tensor& out) const {
  base_->logits(hidden.narrow(1, 0, base_->hidden_size()), v_begin, v_end, out);
}

}  // namespace twistor::model
