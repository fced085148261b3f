// SPDX-License-Identifier: Apache-2.0
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

std::vector<float> read_vector(const format::TensorInfo* tensor) {
  return tensor == nullptr ? std::vector<float>() : format::read_f32(*tensor);
}

/// Weights that the file has in blocks stay codes where the engine wants that.
device::PanelLayout layout_for(const device::Engine& engine, const MatrixSource& source,
                               device::Precision precision, const TensorSet* changing) {
  if (source.is_transposed || !engine.keeps_codes(precision)) return precision;
  format::CodeLayout all{device::PackedMatrix::panel_columns, true};
  for (const auto& part : source.parts) {
    const format::CodeLayout layout = format::code_layout(part.weight->type);
    if (layout.group == 0 || (changing != nullptr && changing->contains(part.weight))) return precision;
    all.group = std::min(all.group, layout.group);
    all.is_four_bits = all.is_four_bits && layout.is_four_bits;
  }
  return {all.is_four_bits, all.group};
}

/// Rows of a stack as codes; parts with longer groups than the matrix repeat their scales.
struct CodeRows {
  CodeRows(std::int64_t n, std::int64_t row_size, std::int64_t group_size)
      : k(row_size),
        group(group_size),
        codes(static_cast<std::size_t>(n * k)),
        scales(codes.size() / static_cast<std::size_t>(group)),
        offsets(scales.size()) {}

  void read(const format::TensorInfo& tensor, std::int64_t from, std::int64_t to, std::int64_t at) {
    const std::int64_t own = format::code_layout(tensor.type).group, repeat = own / group, n = to - from;
    std::vector<float> s(static_cast<std::size_t>(n * k / own)), o(s.size());
    format::read_rows_codes(
        tensor, from, to,
        std::span(codes).subspan(static_cast<std::size_t>(at * k), static_cast<std::size_t>(n * k)), s, o);
    const auto first = static_cast<std::size_t>(at * k / group);
    for (std::size_t i = 0; i < s.size() * static_cast<std::size_t>(repeat); ++i) {
      scales[first + i] = s[i / static_cast<std::size_t>(repeat)];
      offsets[first + i] = o[i / static_cast<std::size_t>(repeat)];
    }
  }

  std::int64_t k, group;
  std::vector<std::int8_t> codes;
  std::vector<float> scales, offsets;
};

}  // namespace

device::Norm read_norm(const device::Engine& engine, const NormSource& source, NormKind kind, double eps) {
  device::Norm norm{kind, static_cast<float>(eps), {}, {}};
  if (source.weight == nullptr) return norm;
  std::vector<float> weight = read_vector(source.weight);
  for (float& value : weight) value = (value + source.offset) * source.scale;
  norm.weight = engine.upload(weight);
  if (source.bias != nullptr) norm.bias = engine.upload(read_vector(source.bias));
  return norm;
}

device::Table read_table(const device::Engine& engine, const format::TensorInfo& tensor, bool is_changing) {
  return engine.make_table(tensor.shape[0], tensor.shape[1],
                           tensor.type == format::StoredType::bf16 && !is_changing,
                           [&tensor](std::int64_t row, std::span<float> out) {
                             format::read_rows_f32(tensor, row, row + 1, out);
                           });
}

std::size_t packed_bytes(const device::Engine& engine, const MatrixSource& source,
                         device::Precision precision, const TensorSet* changing) {
  const Shape shape = shape_of(source);
  return engine.weight_bytes(shape.n, shape.k, layout_for(engine, source, precision, changing));
}

std::byte* weight_memory(const LoadOptions& options, std::size_t bytes, std::vector<std::byte>& own) {
  if (bytes == 0) return nullptr;
  if (options.memory.allocate) return options.memory.allocate(bytes);
  own.resize(bytes + 64);
  const auto address = reinterpret_cast<std::uintptr_t>(own.data());
  return own.data() + (64 - address % 64) % 64;
}

device::Weight WeightPacker::matrix(const MatrixSource& source) {
  const Shape shape = shape_of(source);
  const device::PanelLayout layout = layout_for(*engine_, source, precision_, changing_);
  device::Weight matrix = engine_->make_weight(shape.n, shape.k, layout, next_);
  if (next_ != nullptr) next_ += engine_->weight_bytes(shape.n, shape.k, layout);
  if (!is_writer_) return matrix;
  if (source.is_transposed) {
    const format::TensorInfo& tensor = *source.parts[0].weight;
    engine_->write_transposed(matrix, format::read_f32(tensor));
  } else {
    pack_stacked(matrix, layout, source);
  }
  return matrix;
}

device::Linear WeightPacker::linear(const MatrixSource& source) {
  std::vector<float> bias;
  for (const auto& part : source.parts) {
    if (part.bias == nullptr) continue;
    const std::size_t begin = bias.size();
    if (source.is_transposed) {
      bias = read_vector(part.bias);
    } else {
      bias.resize(begin + static_cast<std::size_t>(part.rows()));
      format::read_rows_f32(*part.bias, part.row_begin, part.row_begin + part.rows(),
                            std::span(bias).subspan(begin));
    }
  }
  return {matrix(source), bias.empty() ? at::Tensor() : engine_->upload(bias)};
}

void WeightPacker::pack_stacked(device::Weight& matrix, device::PanelLayout layout,
                                const MatrixSource& source) {
  const std::int64_t k = matrix.k(), height = std::min(slice_rows, matrix.n());
  const bool has_codes = layout.has_codes();
  std::vector<float> buffer(static_cast<std::size_t>(has_codes ? 0 : height * k));
  CodeRows codes(has_codes ? height : 0, k, has_codes ? layout.group : 1);
  for (std::int64_t begin = 0; begin < matrix.n(); begin += slice_rows) {
    const std::int64_t end = std::min(matrix.n(), begin + slice_rows);
    for_each_piece(
        source, begin, end, [&](const auto& part, std::int64_t row, std::int64_t n, std::int64_t to) {
          if (has_codes)
            codes.read(*part.weight, row, row + n, to);
          else
            format::read_rows_f32(
                *part.weight, row, row + n,
                std::span(buffer).subspan(static_cast<std::size_t>(to * k), static_cast<std::size_t>(n * k)));
        });
    const auto n = static_cast<std::size_t>((end - begin) * k);
    if (has_codes) {
      const std::size_t n_groups = n / static_cast<std::size_t>(codes.group);
      matrix.packed.pack_codes(begin, std::span(codes.codes).first(n),
                               std::span(codes.scales).first(n_groups),
                               std::span(codes.offsets).first(n_groups));
    } else {
      engine_->write_rows(matrix, begin, std::span(buffer).first(n));
    }
  }
}

}  // namespace twistor::model
