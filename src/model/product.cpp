// Products with packed matrices: who computes which panel, and what happens to the sums on their way out.
#include <vector>

#include "product_kernels.hpp"
#include "twistor/base/error.hpp"
#include "twistor/model/packed_matrix.hpp"

namespace twistor::model {
namespace {

using kernels::columns;
using simd::F16;

constexpr double threading_flops = 4e5;  // below this a parallel region costs more than it saves

/// Pairs of neighbouring bf16; the last of an odd row is paired with zero.
void pair_row(const float* x, std::int64_t k, std::uint32_t* out) {
  for (std::int64_t p = 0; p < k / 2; ++p) {
    const std::uint32_t low = simd::to_bf16(x[2 * p]), high = simd::to_bf16(x[2 * p + 1]);
    out[p] = low | (high << 16);
  }
  if (k % 2 != 0) out[k / 2] = simd::to_bf16(x[k - 1]);
}

/// Carries a tile's sums to y with bias and accumulation.
void write_tile(const float* acc, std::int64_t rows, std::int64_t width, const ProductOptions& options,
                std::int64_t first_column, float* y, std::int64_t ldy) {
  const float* bias = options.bias == nullptr ? nullptr : options.bias + first_column;
  for (std::int64_t r = 0; r < rows; ++r) {
    float* out = y + r * ldy;
    const float* in = acc + r * columns;
    for (std::int64_t c = 0; c < width; c += simd::lanes) {
      const std::int64_t count = std::min(simd::lanes, width - c);
      F16 value = simd::load(in + c);
      if (bias != nullptr) value += simd::load_part(bias + c, count, 0.0f);
      if (options.accumulate) value = simd::load_part(out + c, count, 0.0f) + value;
      simd::store_part(out + c, value, count);
    }
  }
}

/// acc(rows, 32) of one panel. x: floats, or pairs of bf16 for a bfloat16 matrix.
void tile_of_panel(const float* x, const std::uint32_t* pairs, std::int64_t ldx, std::int64_t rows,
                   const PackedMatrix& w, std::int64_t panel, float* acc) {
  using Kind = PanelLayout::Kind;
  const PanelLayout& layout = w.layout();
  if (layout.kind == Kind::float32) {
    kernels::tile_product<kernels::FloatSteps>(x, ldx, rows, w.panel(panel), w.k(), acc);
  } else if (layout.kind == Kind::bfloat16) {
    const std::int64_t steps = (w.k() + 1) / 2;
    kernels::tile_product<kernels::PairSteps>(pairs, steps, rows, w.panel(panel), steps, acc);
  } else {
    kernels::tile_product_codes(x, ldx, rows, w.panel(panel), w.k(), layout.group,
                                layout.kind == Kind::codes4, acc);
  }
}

}  // namespace

void multiply(const float* x, std::int64_t ldx, std::int64_t n, const PackedMatrix& w, std::int64_t v_begin,
              std::int64_t v_end, float* y, std::int64_t ldy, const ProductOptions& options) {
  TWISTOR_ASSERT(v_begin % columns == 0 && v_begin <= v_end && v_end <= w.n(),
                 "a product's columns are out of range");
  if (n == 0 || v_begin == v_end) return;
  const bool is_paired = w.layout().kind == PanelLayout::Kind::bfloat16;
  const std::int64_t pairs = is_paired ? (w.k() + 1) / 2 : 0;
  std::vector<std::uint32_t> halves(static_cast<std::size_t>(n * pairs));
  const std::int64_t first = v_begin / columns, last = (v_end + columns - 1) / columns;
  const double flops =
      2.0 * static_cast<double>(n) * static_cast<double>(w.k()) * static_cast<double>(v_end - v_begin);
  // Panels go to whoever is free: on a shared machine one thread may be held up, and bits do not depend on
  // who computes. Guided: long runs of neighbours first, so that fetching ahead is of use, then single ones.
#pragma omp parallel if (flops > threading_flops)
  {
    if (is_paired) {
#pragma omp for schedule(static)
      for (std::int64_t r = 0; r < n; ++r) pair_row(x + r * ldx, w.k(), halves.data() + r * pairs);
    }
#pragma omp for schedule(guided)
    for (std::int64_t p = first; p < last; ++p) {
      alignas(64) float acc[kernels::tile_rows * columns];
      const std::int64_t begin = p * columns, width = std::min(columns, v_end - begin);
      for (std::int64_t r = 0; r < n; r += kernels::tile_rows) {
        const std::int64_t rows = std::min(kernels::tile_rows, n - r);
        tile_of_panel(x + r * ldx, halves.data() + r * pairs, ldx, rows, w, p, acc);
        write_tile(acc, rows, width, options, begin, y + r * ldy + (begin - v_begin), ldy);
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

}  // namespace twistor::model
