// SPDX-License-Identifier: Apache-2.0
// What the readers of several families share.
#include "parts.hpp"

#include <algorithm>
#include <array>

#include "twistor/base/error.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/text/component_kinds.hpp"

namespace twistor::model {
namespace {

struct NamedActivation {
  std::string_view type;
  ActivationKind kind;
};
constexpr std::array activations{
    NamedActivation{"gelu_new", ActivationKind::gelu_tanh},
    NamedActivation{"gelu_pytorch_tanh", ActivationKind::gelu_tanh},
    NamedActivation{"gelu_fast", ActivationKind::gelu_tanh},
    NamedActivation{"gelu", ActivationKind::gelu_erf},
    NamedActivation{"gelu_python", ActivationKind::gelu_erf},
    NamedActivation{"silu", ActivationKind::silu},
    NamedActivation{"swish", ActivationKind::silu},
};

}  // namespace

ActivationKind activation_named(const format::JsonView& name) {
  return text::find_kind(activations, name.string(), "activation", name).kind;
}

double positive_number(const format::JsonView& number) {
  const double value = number.number();
  if (!(value > 0)) number.fail("expected a number above 0");
  return value;
}

bool flag(const format::JsonView& config, std::string_view key, bool otherwise) {
  const auto found = config.find(key);
  return found ? found->boolean() : otherwise;
}

std::string prefix_of(const format::WeightFile& file, std::initializer_list<std::string_view> prefixes,
                      std::string_view name) {
  for (const std::string_view prefix : prefixes)
    if (file.find(std::string(prefix) + std::string(name)) != nullptr) return std::string(prefix);
  return std::string(*(prefixes.end() - 1));
}

NormSource find_norm(TensorSearch& search, const std::string& name, std::int64_t d, bool has_bias) {
  return {search.need(name + ".weight", {d}), has_bias ? search.need(name + ".bias", {d}) : nullptr};
}

MatrixSource::Part find_linear(TensorSearch& search, const std::string& name, std::int64_t n, std::int64_t k,
                               bool has_bias) {
  return {search.need(name + ".weight", {n, k}), has_bias ? search.need(name + ".bias", {n}) : nullptr};
}

const format::TensorInfo* find_head(TensorSearch& search, const format::WeightFile& file,
                                    const std::string& name, const DecoderSource& source, bool is_tied) {
  if (!is_tied) return search.need(name, {source.traits.vocab_size, source.traits.width});
  const format::TensorInfo* copy = file.find(name);
  TWISTOR_CHECK(copy == nullptr || source.embedding == nullptr ||
                    std::ranges::equal(copy->bytes, source.embedding->bytes),
                ErrorKind::data, "loading weights from " + file.path().string(),
                "the configuration ties the output matrix to the embedding, but tensor " +
                    format::quote(name) + " differs from it",
                "set tie_word_embeddings in config.json to what the model was trained with");
  return nullptr;
}

}  // namespace twistor::model
