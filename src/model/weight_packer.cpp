// Stacking, transposing and packing of stored tensors.
#include "weight_packer.hpp"

#include <algorithm>
#include <cstdint>
#include <span>

namespace twistor::model {
namespace {

struct Shape {
  std::int64_t n, k;
};

Shape shape_of(const MatrixSource& source) {
  if (source.is_transposed) return {source.parts[0].weight->shape[1], source.parts[0].weight->shape[0]};
  Shape shape{0, source.parts[0].weight->shape[1]};
  for (const auto& part : source.parts) shape.n += part.rows();
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

}  // namespace

NormWeights read_norm(const NormSource& source) {
  return {read_vector(source.weight), read_vector(source.bias)};
}

std::size_t packed_bytes(const MatrixSource& source, Precision precision) {
  const Shape shape = shape_of(source);
  return aligned(PackedMatrix::bytes_needed(shape.n, shape.k, precision));
}

std::byte* weight_memory(const LoadOptions& options, std::size_t bytes, std::vector<std::byte>& own) {
  if (options.memory.allocate) return options.memory.allocate(bytes);
  own.resize(bytes + 64);
  const auto address = reinterpret_cast<std::uintptr_t>(own.data());
  return own.data() + (64 - address % 64) % 64;
}

PackedMatrix WeightPacker::matrix(const MatrixSource& source) {
  const Shape shape = shape_of(source);
  PackedMatrix matrix(next_, shape.n, shape.k, precision_);
  next_ += packed_bytes(source, precision_);
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

LinearWeights WeightPacker::linear(const MatrixSource& source) {
  LinearWeights out{matrix(source), {}};
  for (const auto& part : source.parts) {
    if (part.bias == nullptr) continue;
    const std::size_t begin = out.bias.size();
    if (source.is_transposed) {
      out.bias = read_vector(part.bias);
    } else {
      out.bias.resize(begin + static_cast<std::size_t>(part.rows()));
      read_rows_f32(*part.bias, part.row_begin, part.row_begin + part.rows(),
                    std::span(out.bias).subspan(begin));
    }
  }
  return out;
}

/// Panels of the stack may straddle parts, so rows are collected a slice at a time.
void WeightPacker::pack_stacked(PackedMatrix& matrix, const MatrixSource& source) {
  constexpr std::int64_t slice = 32 * PackedMatrix::panel_columns;
  const std::int64_t k = matrix.k();
  std::vector<float> buffer(static_cast<std::size_t>(std::min(slice, matrix.n()) * k));
  for (std::int64_t begin = 0; begin < matrix.n(); begin += slice) {
    const std::int64_t end = std::min(matrix.n(), begin + slice);
    std::int64_t part_begin = 0;
    for (const auto& part : source.parts) {
      const std::int64_t part_end = part_begin + part.rows();
      const std::int64_t from = std::max(begin, part_begin), to = std::min(end, part_end);
      if (from < to)
        read_rows_f32(*part.weight, part.row_begin + from - part_begin, part.row_begin + to - part_begin,
                      std::span(buffer).subspan(static_cast<std::size_t>((from - begin) * k),
                                                static_cast<std::size_t>((to - from) * k)));
      part_begin = part_end;
    }
    matrix.pack_rows(begin, std::span(buffer).first(static_cast<std::size_t>((end - begin) * k)));
  }
}

}  // namespace twistor::model
