// Reading and packing the decoder's weights.
#include "decoder_weights.hpp"

namespace twistor::model {
namespace {

MatrixSource head_source(const DecoderSource& s) {
  return {{{s.head != nullptr ? s.head : s.embedding, nullptr}}, false};
}

std::size_t bytes_of(const DecoderSource& s, device::Precision precision) {
  std::size_t total = packed_bytes(head_source(s), precision);
  for (const LayerSource& layer : s.layers)
    for (const MatrixSource* matrix : {&layer.qkv, &layer.out, &layer.up, &layer.down})
      total += packed_bytes(*matrix, precision);
  return total;
}

}  // namespace

DecoderWeights::DecoderWeights(DecoderSource source, const LoadOptions& options)
    : source_(std::move(source)) {
  WeightPacker packer(weight_memory(options, bytes_of(source_, options.precision), private_memory_), options);
  for (const LayerSource& layer : source_.layers)
    layers.push_back({read_norm(layer.attention_norm), read_norm(layer.mlp_norm),
                      read_norm(layer.attention_post_norm), read_norm(layer.mlp_post_norm),
                      packer.linear(layer.qkv), packer.linear(layer.out), packer.linear(layer.up),
                      packer.linear(layer.down), layer.attention_scale, layer.window});
  head = packer.matrix(head_source(source_));
  final_norm = read_norm(source_.final_norm);
  if (options.memory.publish) options.memory.publish();
  for (const format::TensorInfo& tensor : source_.file->tensors()) n_parameters += tensor.numel();
}

void DecoderWeights::read_embedding(std::int64_t token, std::span<float> out) const {
  format::read_rows_f32(*source_.embedding, token, token + 1, out);
}

void DecoderWeights::read_position(std::int64_t position, std::span<float> out) const {
  format::read_rows_f32(*source_.positions, position, position + 1, out);
}

}  // namespace twistor::model
