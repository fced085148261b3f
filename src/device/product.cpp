// Products with packed matrices: who computes which panel.
#include <algorithm>
#include <vector>

#include "twistor/base/error.hpp"
#include "twistor/device/kernels.hpp"
#include "twistor/device/packed_matrix.hpp"

namespace twistor::device {
namespace {

constexpr std::int64_t columns = PackedMatrix::panel_columns;
[[maybe_unused]] constexpr double threading_flops =
    4e5;  // below this a parallel region costs more than it saves

/// The rows of x as the matrix's kernel wants them.
struct Rows {
  const float* x = nullptr;
  std::int64_t ldx = 0;
  const std::uint32_t* prepared = nullptr;  // for a bfloat16 matrix
  std::int64_t words = 0;                   // of one row of them
};

/// sums (rows, 32) of one panel and the rows from `first` on.
void sum_tile(const Kernels& kernels, const Rows& x, std::int64_t first, std::int64_t rows,
              const PackedMatrix& w, std::int64_t panel, float* sums) {
  using Kind = PanelLayout::Kind;
  const PanelLayout& layout = w.layout();
  if (layout.kind == Kind::float32) {
    kernels.tile_float32(x.x + first * x.ldx, x.ldx, rows, w.panel(panel), w.k(), sums);
  } else if (layout.kind == Kind::bfloat16) {
    kernels.tile_bfloat16(x.prepared + first * x.words, rows, w.panel(panel), w.k(), sums);
  } else {
    kernels.tile_codes(x.x + first * x.ldx, x.ldx, rows,
                       {w.panel(panel), w.k(), layout.group, layout.kind == Kind::codes4}, sums);
  }
}

}  // namespace

void multiply(const float* x, std::int64_t ldx, std::int64_t n, const PackedMatrix& w, std::int64_t v_begin,
              std::int64_t v_end, float* y, std::int64_t ldy, const ProductOptions& options) {
  TWISTOR_ASSERT(v_begin % columns == 0 && v_begin <= v_end && v_end <= w.n(),
                 "a product's columns are out of range");
  if (n == 0 || v_begin == v_end) return;
  const Kernels& kernels = device::kernels();
  const bool is_prepared = w.layout().kind == PanelLayout::Kind::bfloat16;
  const std::int64_t words = is_prepared ? kernels.prepared_words(w.k()) : 0;
  std::vector<std::uint32_t> prepared(static_cast<std::size_t>(n * words));
  const Rows rows_of_x{x, ldx, prepared.data(), words};
  const std::int64_t first = v_begin / columns, last = (v_end + columns - 1) / columns;
  [[maybe_unused]] const double flops =  // without OpenMP
      2.0 * static_cast<double>(n) * static_cast<double>(w.k()) * static_cast<double>(v_end - v_begin);
  // Panels go to whoever is free: on a shared machine one thread may be held up, and bits do not depend on
  // who computes. Guided: long runs of neighbours first, so that fetching ahead is of use, then single ones.
#pragma omp parallel if (flops > threading_flops)
  {
    if (is_prepared) {
#pragma omp for schedule(static)
      for (std::int64_t r = 0; r < n; ++r)
        kernels.prepare_bfloat16(x + r * ldx, w.k(), prepared.data() + r * words);
    }
#pragma omp for schedule(guided)
    for (std::int64_t p = first; p < last; ++p) {
      alignas(64) float sums[tile_rows * columns];
      const std::int64_t begin = p * columns, width = std::min(columns, v_end - begin);
      for (std::int64_t r = 0; r < n; r += tile_rows) {
        const std::int64_t rows = std::min(tile_rows, n - r);
        sum_tile(kernels, rows_of_x, r, rows, w, p, sums);
        kernels.write_tile(sums, rows,
                           {y + r * ldy + (begin - v_begin), ldy, width,
                            options.bias == nullptr ? nullptr : options.bias + begin, options.accumulate});
      }
    }
  }
}

void multiply(std::span<const float> x, std::int64_t n, const PackedMatrix& w, std::span<float> y,
              const ProductOptions& options) {
  TWISTOR_ASSERT(
      static_cast<std::int64_t>(x.size()) == n * w.k() && static_cast<std::int64_t>(y.size()) == n * w.n(),
      "a product's operands do not fit");
  multiply(x.data(), w.k(), n, w, 0, w.n(), y.data(), w.n(), options);
}

void multiply_at_b(std::span<const float> a, std::span<const float> b, std::int64_t rows, std::int64_t m,
                   std::int64_t n, std::span<float> c) {
  TWISTOR_ASSERT(static_cast<std::int64_t>(c.size()) == m * n, "a gradient's operands do not fit");
  std::vector<float> at(static_cast<std::size_t>(m * rows));
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t i = 0; i < m; ++i)
      at[static_cast<std::size_t>(i * rows + r)] = a[static_cast<std::size_t>(r * m + i)];
  PackedBuffer packed(n, rows, Precision::float32);
  packed.matrix().pack_transposed(b);
  multiply(at, m, packed.matrix(), c);
}

}  // namespace twistor::device
