// SPDX-License-Identifier: Apache-2.0
// Reading the decoder's weights into its engine.
#include "decoder_weights.hpp"

#include <utility>

#include "twistor/base/error.hpp"
#include "weight_changer.hpp"

namespace twistor::model {
namespace {

MatrixSource head_source(const DecoderSource& s) {
  return {{{s.head != nullptr ? s.head : s.embedding, nullptr}}, false};
}

std::size_t bytes_of(const device::Engine& engine, const DecoderSource& s, device::Precision precision) {
  std::size_t total = s.is_headless ? 0 : packed_bytes(engine, head_source(s), precision);
  for (const LayerSource& layer : s.layers)
    for (const MatrixSource* matrix : {&layer.qkv, &layer.out, &layer.up, &layer.down})
      total += packed_bytes(engine, *matrix, precision, &s.changing);
  return total;
}

}  // namespace

DecoderWeights::DecoderWeights(DecoderSource source, const LoadOptions& options) : file_(source.file) {
  const std::shared_ptr<const device::Engine> used = options.used_engine();
  const device::Engine& engine = *used;
  std::byte* const memory =
      weight_memory(options, bytes_of(engine, source, options.precision), private_memory_);
  WeightPacker packer(memory, options, &source.changing);
  const auto norm = [&](const NormSource& from) {
    return read_norm(engine, from, source.traits.norm, source.traits.norm_eps);
  };
  const auto product_norm = [&](const NormSource& from) {
    device::Norm out = norm(from);
    out.feeds_product = true;
    return out;
  };
  for (const LayerSource& layer : source.layers)
    layers.push_back({product_norm(layer.attention_norm),
                      product_norm(layer.mlp_norm),
                      norm(layer.attention_post_norm),
                      norm(layer.mlp_post_norm),
                      norm(layer.q_norm),
                      norm(layer.k_norm),
                      packer.linear(layer.qkv),
                      packer.linear(layer.out),
                      packer.linear(layer.up),
                      packer.linear(layer.down),
                      {static_cast<std::int64_t>(layers.size()), static_cast<float>(layer.attention_scale),
                       layer.window, layer.rotary}});
  if (!source.is_headless) head.weight = packer.matrix(head_source(source));
  final_norm = norm(source.final_norm);
  embedding = read_table(engine, *source.embedding, source.changing.contains(source.embedding));
  if (source.positions != nullptr)
    positions = read_table(engine, *source.positions, source.changing.contains(source.positions));
  if (memory != nullptr && options.memory.publish) options.memory.publish();
  for (const format::TensorInfo& tensor : file_->tensors()) n_parameters += tensor.numel();
  if (!source.changing.empty()) changing_ = std::move(source);
}

void DecoderWeights::follow(const device::Engine& engine, const ValuesOf& values) {
  TWISTOR_ASSERT(is_changing() && changing_->is_headless, "only a body without output matrix changes");
  const DecoderSource& source = *changing_;
  const WeightChanger change(engine, [&](const format::TensorInfo& tensor) {
    return source.changing.contains(&tensor) ? values(tensor) : at::Tensor();
  });
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const LayerSource& from = source.layers[i];
    LayerWeights& to = layers[i];
    change.norm(from.attention_norm, to.attention_norm);
    change.norm(from.mlp_norm, to.mlp_norm);
    change.norm(from.attention_post_norm, to.attention_post_norm);
    change.norm(from.mlp_post_norm, to.mlp_post_norm);
    change.norm(from.q_norm, to.q_norm);
    change.norm(from.k_norm, to.k_norm);
    change.linear(from.qkv, to.qkv);
    change.linear(from.out, to.out);
    change.linear(from.up, to.up);
    change.linear(from.down, to.down);
  }
  change.norm(source.final_norm, final_norm);
  change.table(*source.embedding, embedding);
  if (source.positions != nullptr) change.table(*source.positions, positions);
}

}  // namespace twistor::model
