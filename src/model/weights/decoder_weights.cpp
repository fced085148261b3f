// SPDX-License-Identifier: Apache-2.0
// Reading the decoder's weights into its engine.
#include "decoder_weights.hpp"

namespace twistor::model {
namespace {

MatrixSource head_source(const DecoderSource& s) {
  return {{{s.head != nullptr ? s.head : s.embedding, nullptr}}, false};
}

std::size_t bytes_of(const device::Engine& engine, const DecoderSource& s, device::Precision precision) {
  std::size_t total = s.is_headless ? 0 : packed_bytes(engine, head_source(s), precision);
  for (const LayerSource& layer : s.layers)
    for (const MatrixSource* matrix : {&layer.qkv, &layer.out, &layer.up, &layer.down})
      total += packed_bytes(engine, *matrix, precision);
  return total;
}

}  // namespace

DecoderWeights::DecoderWeights(DecoderSource source, const LoadOptions& options) : file_(source.file) {
  const std::shared_ptr<const device::Engine> used = options.used_engine();
  const device::Engine& engine = *used;
  std::byte* const memory =
      weight_memory(options, bytes_of(engine, source, options.precision), private_memory_);
  WeightPacker packer(memory, options);
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
  embedding = read_table(engine, *source.embedding);
  if (source.positions != nullptr) positions = read_table(engine, *source.positions);
  if (memory != nullptr && options.memory.publish) options.memory.publish();
  for (const format::TensorInfo& tensor : file_->tensors()) n_parameters += tensor.numel();
}

}  // namespace twistor::model
