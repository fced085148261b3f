// Reading and packing the decoder's weights.
#include "decoder_weights.hpp"

#include <algorithm>
#include <cstdint>

#include "twistor/base/error.hpp"

namespace twistor::model {
namespace {

struct Shape {
  std::int64_t n, k;
};

Shape shape_of(const MatrixSource& source) {
  if (source.is_transposed) return {source.parts[0].weight->shape[1], source.parts[0].weight->shape[0]};
  Shape shape{0, source.parts[0].weight->shape[1]};
  for (const auto& part : source.parts) shape.n += part.weight->shape[0];
  return shape;
}

std::size_t aligned(std::size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

std::vector<float> read_vector(const TensorInfo* tensor) {
  if (tensor == nullptr) return {};
  std::vector<float> out(static_cast<std::size_t>(tensor->numel()));
  // A vector is a matrix of rows of one; quantised files keep vectors in F32.
  read_rows_f32(*tensor, 0, tensor->shape[0], out);
  return out;
}

/// Hands out pieces of one allocation and fills them on the rank that writes.
class Packer {
 public:
  Packer(std::byte* memory, Precision precision, bool is_writer)
      : next_(memory), precision_(precision), is_writer_(is_writer) {}

  PackedMatrix pack(const MatrixSource& source) {
    const Shape shape = shape_of(source);
    PackedMatrix matrix = take(shape);
    if (!is_writer_) return matrix;
    if (source.is_transposed) {
      const TensorInfo& tensor = *source.parts[0].weight;
      std::vector<float> all(static_cast<std::size_t>(tensor.numel()));
      read_rows_f32(tensor, 0, tensor.shape[0], all);
      matrix.pack_transposed(all);
    } else {
      pack_stacked(matrix, source);
    }
    return matrix;
  }

 private:
  PackedMatrix take(Shape shape) {
    PackedMatrix matrix(next_, shape.n, shape.k, precision_);
    next_ += aligned(PackedMatrix::bytes_needed(shape.n, shape.k, precision_));
    return matrix;
  }

  /// Panels of the stack may straddle parts, so rows are collected a slice at a time.
  void pack_stacked(PackedMatrix& matrix, const MatrixSource& source) {
    constexpr std::int64_t slice = 32 * PackedMatrix::panel_columns;
    const std::int64_t k = matrix.k();
    std::vector<float> buffer(static_cast<std::size_t>(std::min(slice, matrix.n()) * k));
    for (std::int64_t begin = 0; begin < matrix.n(); begin += slice) {
      const std::int64_t end = std::min(matrix.n(), begin + slice);
      std::int64_t part_begin = 0;
      for (const auto& part : source.parts) {
        const std::int64_t part_end = part_begin + part.weight->shape[0];
        const std::int64_t from = std::max(begin, part_begin), to = std::min(end, part_end);
        if (from < to)
          read_rows_f32(*part.weight, from - part_begin, to - part_begin,
                        std::span(buffer).subspan(static_cast<std::size_t>((from - begin) * k),
                                                  static_cast<std::size_t>((to - from) * k)));
        part_begin = part_end;
      }
      matrix.pack_rows(begin, std::span(buffer).first(static_cast<std::size_t>((end - begin) * k)));
    }
  }

  std::byte* next_;
  Precision precision_;
  bool is_writer_;
};

std::vector<float> biases(const MatrixSource& source) {
  std::vector<float> out;
  for (const auto& part : source.parts) {
    const std::vector<float> piece = read_vector(part.bias);
    out.insert(out.end(), piece.begin(), piece.end());
  }
  return out;
}

MatrixSource head_source(const DecoderSource& s) {
  return {{{s.head != nullptr ? s.head : s.embedding, nullptr}}, false};
}

std::size_t bytes_of(const DecoderSource& s, Precision precision) {
  std::size_t total = 0;
  const auto add = [&](const MatrixSource& matrix) {
    const Shape shape = shape_of(matrix);
    total += aligned(PackedMatrix::bytes_needed(shape.n, shape.k, precision));
  };
  for (const LayerSource& layer : s.layers)
    for (const MatrixSource* matrix : {&layer.qkv, &layer.out, &layer.up, &layer.down}) add(*matrix);
  add(head_source(s));
  return total;
}

}  // namespace

DecoderWeights::DecoderWeights(DecoderSource source, const LoadOptions& options)
    : source_(std::move(source)) {
  const std::size_t bytes = bytes_of(source_, options.precision);
  std::byte* memory = nullptr;
  if (options.memory.allocate) {
    memory = options.memory.allocate(bytes);
  } else {
    private_memory_.resize(bytes + 64);
    const auto address = reinterpret_cast<std::uintptr_t>(private_memory_.data());
    memory = private_memory_.data() + (64 - address % 64) % 64;
  }
  Packer packer(memory, options.precision, options.memory.is_writer);
  const auto norm = [](const NormSource& n) {
    return NormWeights{read_vector(n.weight), read_vector(n.bias)};
  };
  const auto linear = [&](const MatrixSource& m) { return LinearWeights{packer.pack(m), biases(m)}; };
  for (const LayerSource& layer : source_.layers)
    layers.push_back({norm(layer.attention_norm), norm(layer.mlp_norm), linear(layer.qkv), linear(layer.out),
                      linear(layer.up), linear(layer.down)});
  head = packer.pack(head_source(source_));
  final_norm = norm(source_.final_norm);
  if (options.memory.publish) options.memory.publish();
  for (const TensorInfo& tensor : source_.file->tensors()) n_parameters += tensor.numel();
}

void DecoderWeights::read_embedding(std::int64_t token, std::span<float> out) const {
  read_rows_f32(*source_.embedding, token, token + 1, out);
}

void DecoderWeights::read_position(std::int64_t position, std::span<float> out) const {
  read_rows_f32(*source_.positions, position, position + 1, out);
}

}  // namespace twistor::model
