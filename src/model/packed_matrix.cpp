// Packing a matrix into panels of 32 columns.
#include "twistor/model/packed_matrix.hpp"

#include <algorithm>

#include "simd.hpp"
#include "twistor/base/error.hpp"

namespace twistor::model {
namespace {

constexpr std::int64_t columns = PackedMatrix::panel_columns;

std::int64_t round_up(std::int64_t x, std::int64_t to) {
  return (x + to - 1) / to * to;
}
std::int64_t packed_k(std::int64_t k, Precision p) {
  return p == Precision::float32 ? k : round_up(k, 2);
}
std::size_t element_bytes(Precision p) {
  return p == Precision::float32 ? 4 : 2;
}

}  // namespace

std::size_t PackedMatrix::bytes_needed(std::int64_t n, std::int64_t k, Precision precision) {
  return static_cast<std::size_t>(round_up(n, columns) * packed_k(k, precision)) * element_bytes(precision);
}

const std::byte* PackedMatrix::panel(std::int64_t index) const {
  return data_ + bytes_needed(columns, k_, precision_) * static_cast<std::size_t>(index);
}

void PackedMatrix::pack_rows(std::int64_t row_begin, std::span<const float> rows) {
  const std::int64_t count = static_cast<std::int64_t>(rows.size()) / k_;
  TWISTOR_ASSERT(row_begin % columns == 0 && (count % columns == 0 || row_begin + count == n_),
                 "packing must cover whole panels");
  const std::int64_t first = row_begin / columns, last = (row_begin + count + columns - 1) / columns;
#pragma omp parallel for schedule(static) if (count * k_ > 100000)
  for (std::int64_t p = first; p < last; ++p) {
    std::byte* out = const_cast<std::byte*>(panel(p));
    const std::int64_t base = p * columns - row_begin, width = std::min(columns, count - base);
    if (precision_ == Precision::float32) {
      auto* f = reinterpret_cast<float*>(out);
      for (std::int64_t k0 = 0; k0 < k_;
           k0 += 16)  // 16 by 32 squares, so that both sides stay in cache lines
        for (std::int64_t c = 0; c < columns; ++c)
          for (std::int64_t k = k0; k < std::min(k0 + 16, k_); ++k)
            f[k * columns + c] = c < width ? rows[static_cast<std::size_t>((base + c) * k_ + k)] : 0.0f;
    } else {
      auto* h = reinterpret_cast<std::uint16_t*>(out);
      for (std::int64_t k = 0; k < packed_k(k_, precision_); ++k)
        for (std::int64_t c = 0; c < columns; ++c)
          h[(k / 2) * 2 * columns + (c / 16) * 32 + (c % 16) * 2 + k % 2] =
              c < width && k < k_ ? simd::to_bf16(rows[static_cast<std::size_t>((base + c) * k_ + k)])
                                  : std::uint16_t{0};
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

PackedBuffer::PackedBuffer(std::int64_t n, std::int64_t k, Precision precision)
    : storage_(PackedMatrix::bytes_needed(n, k, precision) + 64) {
  const auto address = reinterpret_cast<std::uintptr_t>(storage_.data());
  matrix_ = PackedMatrix(storage_.data() + (64 - address % 64) % 64, n, k, precision);
}

}  // namespace twistor::model
