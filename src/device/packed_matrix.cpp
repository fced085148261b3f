// SPDX-License-Identifier: Apache-2.0
// Packing a matrix into panels of 32 columns.
#include "twistor/device/packed_matrix.hpp"

#include <algorithm>
#include <cstring>

#include "twistor/base/bfloat16.hpp"
#include "twistor/base/error.hpp"

namespace twistor::device {
namespace {

constexpr std::int64_t columns = PackedMatrix::panel_columns;

std::int64_t round_up(std::int64_t x, std::int64_t to) {
  return (x + to - 1) / to * to;
}
}  // namespace

std::size_t PackedMatrix::bytes_needed(std::int64_t n, std::int64_t k, PanelLayout layout) {
  const std::int64_t row_bytes_of_32 = layout.has_codes() ? k / layout.group * layout.group_bytes()
                                       : layout.kind == PanelLayout::Kind::float32
                                           ? k * columns * 4
                                           : round_up(k, 2) * columns * 2;
  return static_cast<std::size_t>(round_up(n, columns) / columns * row_bytes_of_32);
}

const std::byte* PackedMatrix::panel(std::int64_t index) const {
  return data_ + bytes_needed(columns, k_, layout_) * static_cast<std::size_t>(index);
}

void PackedMatrix::pack_rows(std::int64_t row_begin, std::span<const float> rows) {
  const std::int64_t count = static_cast<std::int64_t>(rows.size()) / k_;
  TWISTOR_ASSERT(
      !layout_.has_codes() && row_begin % columns == 0 && (count % columns == 0 || row_begin + count == n_),
      "packing must cover whole panels");
  const std::int64_t first = row_begin / columns, last = (row_begin + count + columns - 1) / columns;
#pragma omp parallel for schedule(static) if (count * k_ > 100000)
  for (std::int64_t p = first; p < last; ++p) {
    std::byte* out = const_cast<std::byte*>(panel(p));
    const std::int64_t base = p * columns - row_begin, width = std::min(columns, count - base);
    if (layout_.kind == PanelLayout::Kind::float32) {
      auto* f = reinterpret_cast<float*>(out);
      for (std::int64_t k0 = 0; k0 < k_;
           k0 += 16)  // 16 by 32 squares, so that both sides stay in cache lines
        for (std::int64_t c = 0; c < columns; ++c)
          for (std::int64_t k = k0; k < std::min(k0 + 16, k_); ++k)
            f[k * columns + c] = c < width ? rows[static_cast<std::size_t>((base + c) * k_ + k)] : 0.0f;
    } else {
      auto* h = reinterpret_cast<std::uint16_t*>(out);
      for (std::int64_t k = 0; k < round_up(k_, 2); ++k)
        for (std::int64_t c = 0; c < columns; ++c)
          h[(k / 2) * 2 * columns + (c / 16) * 32 + (c % 16) * 2 + k % 2] =
              c < width && k < k_ ? to_bfloat16(rows[static_cast<std::size_t>((base + c) * k_ + k)])
                                  : std::uint16_t{0};
    }
  }
}

void PackedMatrix::pack_codes(std::int64_t row_begin, std::span<const std::int8_t> codes,
                              std::span<const float> scales, std::span<const float> offsets) {
  const std::int64_t count = static_cast<std::int64_t>(codes.size()) / k_, group = layout_.group;
  const std::int64_t n_groups = k_ / group;
  TWISTOR_ASSERT(
      layout_.has_codes() && row_begin % columns == 0 && (count % columns == 0 || row_begin + count == n_),
      "packing must cover whole panels");
  const std::int64_t first = row_begin / columns, last = (row_begin + count + columns - 1) / columns;
#pragma omp parallel for schedule(static) if (count * k_ > 100000)
  for (std::int64_t p = first; p < last; ++p) {
    const std::int64_t base = p * columns - row_begin, width = std::min(columns, count - base);
    for (std::int64_t g = 0; g < n_groups; ++g) {
      std::byte* out = const_cast<std::byte*>(panel(p)) + g * layout_.group_bytes();
      std::memset(out, 0, static_cast<std::size_t>(layout_.group_bytes()));
      for (std::int64_t c = 0; c < width; ++c) {
        const std::int64_t row = base + c;
        auto* numbers = reinterpret_cast<float*>(out);
        numbers[c] = scales[static_cast<std::size_t>(row * n_groups + g)];
        numbers[columns + c] = offsets[static_cast<std::size_t>(row * n_groups + g)];
        const std::int8_t* in = codes.data() + row * k_ + g * group;
        if (layout_.kind == PanelLayout::Kind::codes8) {
          auto* bytes = reinterpret_cast<std::int8_t*>(numbers + 2 * columns);
          for (std::int64_t i = 0; i < group; ++i) bytes[i * columns + c] = in[i];
        } else {  // eight codes of a column in one number
          auto* words = reinterpret_cast<std::uint32_t*>(numbers + 2 * columns);
          for (std::int64_t i = 0; i < group; ++i)
            words[i / 8 * columns + c] |= static_cast<std::uint32_t>(in[i] & 15) << (i % 8 * 4);
        }
      }
    }
  }
}

void PackedMatrix::pack_transposed(std::span<const float> column_major) {
  std::vector<float> rows(static_cast<std::size_t>(columns * k_));
  for (std::int64_t begin = 0; begin < n_; begin += columns) {
    const std::int64_t width = std::min(columns, n_ - begin);
    for (std::int64_t k = 0; k < k_; ++k)
      for (std::int64_t c = 0; c < width; ++c)
        rows[static_cast<std::size_t>(c * k_ + k)] =
            column_major[static_cast<std::size_t>(k * n_ + begin + c)];
    pack_rows(begin, std::span(rows).first(static_cast<std::size_t>(width * k_)));
  }
}

void PackedMatrix::read_row(std::int64_t row, std::span<float> out) const {
  TWISTOR_ASSERT(row >= 0 && row < n_ && static_cast<std::int64_t>(out.size()) == k_,
                 "a row is read that the matrix does not have");
  using Kind = PanelLayout::Kind;
  const std::byte* p = panel(row / columns);
  const std::int64_t c = row % columns, group = layout_.group;
  for (std::int64_t k = 0; k < k_; ++k) {
    float& value = out[static_cast<std::size_t>(k)];
    if (layout_.kind == Kind::float32) {
      value = reinterpret_cast<const float*>(p)[k * columns + c];
    } else if (layout_.kind == Kind::bfloat16) {
      value = from_bfloat16(reinterpret_cast<const std::uint16_t*>(
          p)[(k / 2) * 2 * columns + (c / 16) * 32 + (c % 16) * 2 + k % 2]);
    } else {
      const auto* numbers = reinterpret_cast<const float*>(p + k / group * layout_.group_bytes());
      const std::int64_t i = k % group;
      const std::int32_t code =
          layout_.kind == Kind::codes8
              ? reinterpret_cast<const std::int8_t*>(numbers + 2 * columns)[i * columns + c]
              : static_cast<std::int32_t>(
                    reinterpret_cast<const std::uint32_t*>(numbers + 2 * columns)[i / 8 * columns + c] >>
                        (i % 8 * 4) &
                    15u);
      value = numbers[c] * static_cast<float>(code) + numbers[columns + c];
    }
  }
}

PackedBuffer::PackedBuffer(std::int64_t n, std::int64_t k, PanelLayout layout)
    : storage_(PackedMatrix::bytes_needed(n, k, layout) + 64) {
  const auto address = reinterpret_cast<std::uintptr_t>(storage_.data());
  matrix_ = PackedMatrix(storage_.data() + (64 - address % 64) % 64, n, k, layout);
}

}  // namespace twistor::device
