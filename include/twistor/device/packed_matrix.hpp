// SPDX-License-Identifier: Apache-2.0
// Matrix products whose every row has the same bits in any batch, on any number of threads.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "twistor/base/names.hpp"

namespace twistor::device {

/// How weights are stored and products taken; results and everything between products are float32.
enum class Precision { float32, bfloat16 };
constexpr auto names_of(Precision) {
  return std::array{Named{Precision::float32, "float32"}, Named{Precision::bfloat16, "bfloat16"}};
}

/// How the panels of a matrix store its elements.
struct PanelLayout {
  enum class Kind { float32, bfloat16, codes4, codes8 };
  PanelLayout(Precision p)  // NOLINT(google-explicit-constructor): a precision is the plain case
      : kind(p == Precision::float32 ? Kind::float32 : Kind::bfloat16) {}
  /// Codes of 4 or 8 bits with a float32 scale and offset for `group` neighbours along K, a multiple of 8
  /// that divides K and 96. Products equal, bit for bit, those with the expanded float32 matrix.
  PanelLayout(bool is_four_bits, std::int64_t group_size)
      : kind(is_four_bits ? Kind::codes4 : Kind::codes8), group(group_size) {}

  [[nodiscard]] bool has_codes() const { return kind == Kind::codes4 || kind == Kind::codes8; }
  /// Bytes of a group's 32 columns: scales, offsets, codes.
  [[nodiscard]] std::int64_t group_bytes() const {
    return 2 * 32 * 4 + group * (kind == Kind::codes4 ? 16 : 32);
  }

  Kind kind;
  std::int64_t group = 0;
};

/// A weight matrix (N, K) in panels of 32 output columns, ready to be streamed through registers. A view: the
/// bytes belong to a WeightArena or a PackedBuffer.
///
/// Why our own product: library products choose kernels by the number of rows, so a row's bits depend on its
/// batch (measured: docs/performance.md). Here each output element is one chain of fused multiply-adds in the
/// order of k, whatever the tiling, which makes results independent of batch, threads and ranks by
/// construction.
class PackedMatrix {
 public:
  static constexpr std::int64_t panel_columns = 32;

  PackedMatrix() = default;
  PackedMatrix(std::byte* data, std::int64_t n, std::int64_t k, PanelLayout layout)
      : data_(data), n_(n), k_(k), layout_(layout) {}

  /// Bytes that an (n, k) matrix takes when packed.
  [[nodiscard]] static std::size_t bytes_needed(std::int64_t n, std::int64_t k, PanelLayout layout);

  /// Writes rows [row_begin, row_begin + rows.size() / K) of the matrix from row-major float32. Row_begin
  /// and, unless the rows end the matrix, their number must be multiples of panel_columns. *Local.*
  void pack_rows(std::int64_t row_begin, std::span<const float> rows);
  /// The same for a layout of codes: element i of a row is scale[i / group] * code[i] + offset[i / group].
  void pack_codes(std::int64_t row_begin, std::span<const std::int8_t> codes, std::span<const float> scales,
                  std::span<const float> offsets);
  /// The same as pack_rows from a matrix given by columns: (K, N) row-major, whole.
  void pack_transposed(std::span<const float> columns);
  /// Row `row` as products see it, (K): rounded to bfloat16 or expanded where the layout does that. *Local.*
  void read_row(std::int64_t row, std::span<float> out) const;

  [[nodiscard]] std::int64_t n() const { return n_; }
  [[nodiscard]] std::int64_t k() const { return k_; }
  [[nodiscard]] const PanelLayout& layout() const { return layout_; }
  [[nodiscard]] const std::byte* panel(std::int64_t index) const;

 private:
  std::byte* data_ = nullptr;
  std::int64_t n_ = 0, k_ = 0;
  PanelLayout layout_ = Precision::float32;
};

/// A packed matrix with its own 64-byte aligned memory.
class PackedBuffer {
 public:
  PackedBuffer() = default;
  PackedBuffer(std::int64_t n, std::int64_t k, PanelLayout layout);
  [[nodiscard]] PackedMatrix& matrix() { return matrix_; }
  [[nodiscard]] const PackedMatrix& matrix() const { return matrix_; }

 private:
  std::vector<std::byte> storage_;
  PackedMatrix matrix_;
};

/// What happens to x W^T on its way out.
struct ProductOptions {
  const float* bias = nullptr;  ///< (N), added to each row
  bool accumulate = false;      ///< y += instead of y =
};

/// y(n, v_end - v_begin) = x(n, K) W[v_begin:v_end]^T. Row strides ldx, ldy in elements. v_begin must be a
/// multiple of panel_columns. Runs on the OpenMP threads of the caller. *Local.*
void multiply(const float* x, std::int64_t ldx, std::int64_t n, const PackedMatrix& w, std::int64_t v_begin,
              std::int64_t v_end, float* y, std::int64_t ldy, const ProductOptions& options = {});

/// All columns, dense rows.
void multiply(std::span<const float> x, std::int64_t n, const PackedMatrix& w, std::span<float> y,
              const ProductOptions& options = {});

/// c(m, n) = a^T b with a (rows, m) and b (rows, n), both row-major: the weight gradient of a product. Sums
/// over rows in their order, so the bits depend on the rows alone.
void multiply_at_b(std::span<const float> a, std::span<const float> b, std::int64_t rows, std::int64_t m,
                   std::int64_t n, std::span<float> c);

}  // namespace twistor::device
