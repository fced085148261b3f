// Packed products: panels of 32 columns, chunks of K that stay in the first cache, blocks of 12 rows in
// registers.
#include "twistor/model/packed_matrix.hpp"

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <cstring>

#include "simd.hpp"
#include "twistor/base/error.hpp"

namespace twistor::model {
namespace {

using simd::F16;

constexpr std::int64_t columns = PackedMatrix::panel_columns;
constexpr std::int64_t block_rows = 12;  // 24 accumulators of 16 lanes, within 32 registers
constexpr std::int64_t tile_rows = 96;   // accumulators of a tile: 12 KiB
constexpr std::int64_t chunk_bytes = 32 * 1024;
constexpr double threading_flops = 4e5;  // below this a parallel region costs more than it saves

std::int64_t round_up(std::int64_t x, std::int64_t to) {
  return (x + to - 1) / to * to;
}
std::int64_t packed_k(std::int64_t k, Precision p) {
  return p == Precision::float32 ? k : round_up(k, 2);
}
std::size_t element_bytes(Precision p) {
  return p == Precision::float32 ? 4 : 2;
}

/// One tile: acc(R, 32) += x(R, length) * panel(length, 32), k in order. T is the step of k: one float, or a
/// pair of bf16.
template <int R>
void block_f32(const float* x, std::int64_t ldx, const float* panel, std::int64_t length, float* acc) {
  F16 a[R][2];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
    a[r][0] = simd::load(acc + r * columns);
    a[r][1] = simd::load(acc + r * columns + 16);
  }
  for (std::int64_t k = 0; k < length; ++k) {
    const F16 w0 = simd::load(panel + k * columns), w1 = simd::load(panel + k * columns + 16);
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const F16 value = simd::splat(x[r * ldx + k]);
      a[r][0] = value * w0 + a[r][0];
      a[r][1] = value * w1 + a[r][1];
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
    simd::store(acc + r * columns, a[r][0]);
    simd::store(acc + r * columns + 16, a[r][1]);
  }
}

TWISTOR_INLINE F16 pair_product(F16 acc, std::uint32_t x, const std::uint16_t* w) {
#if defined(__AVX512BF16__)
  const auto xs = reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(x)));
  const auto ws = reinterpret_cast<__m512bh>(_mm512_loadu_si512(w));
  return reinterpret_cast<F16>(_mm512_dpbf16_ps(reinterpret_cast<__m512>(acc), xs, ws));
#else
  simd::I16 both;
  std::memcpy(&both, w, sizeof both);
  const simd::I16 even = both << 16, odd = both & static_cast<std::int32_t>(0xFFFF0000u);
  F16 w_even, w_odd;
  std::memcpy(&w_even, &even, sizeof even);
  std::memcpy(&w_odd, &odd, sizeof odd);
  acc = simd::splat(simd::from_bf16(static_cast<std::uint16_t>(x))) * w_even + acc;
  return simd::splat(simd::from_bf16(static_cast<std::uint16_t>(x >> 16))) * w_odd + acc;
#endif
}

template <int R>
void block_bf16(const std::uint32_t* x, std::int64_t ldx, const std::uint16_t* panel, std::int64_t pairs,
                float* acc) {
  F16 a[R][2];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
    a[r][0] = simd::load(acc + r * columns);
    a[r][1] = simd::load(acc + r * columns + 16);
  }
  for (std::int64_t k = 0; k < pairs; ++k) {
    const std::uint16_t* w = panel + k * 2 * columns;
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const std::uint32_t value = x[r * ldx + k];
      a[r][0] = pair_product(a[r][0], value, w);
      a[r][1] = pair_product(a[r][1], value, w + 32);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
    simd::store(acc + r * columns, a[r][0]);
    simd::store(acc + r * columns + 16, a[r][1]);
  }
}

/// Runs the block kernel of the right height; heights below 12 cover the last rows. The chain per element is
/// the same.
template <template <int> class Kernel, int R, class... Args>
void dispatch(std::int64_t rows, Args... args) {
  if (rows == R) {
    Kernel<R>::run(args...);
  } else if constexpr (R > 1) {
    dispatch<Kernel, R - 1>(rows, args...);
  }
}
template <int R>
struct KernelF32 {
  static void run(const float* x, std::int64_t ldx, const float* w, std::int64_t n, float* acc) {
    block_f32<R>(x, ldx, w, n, acc);
  }
};
template <int R>
struct KernelBf16 {
  static void run(const std::uint32_t* x, std::int64_t ldx, const std::uint16_t* w, std::int64_t n,
                  float* acc) {
    block_bf16<R>(x, ldx, w, n, acc);
  }
};

/// acc(rows, 32) = x(rows, K) panel^T for one tile of rows.
template <template <int> class Kernel, class X, class W>
void tile_product(const X* x, std::int64_t ldx, std::int64_t rows, const W* panel, std::int64_t steps,
                  std::int64_t step_elements, float* acc) {
  std::fill_n(acc, rows * columns, 0.0f);
  const std::int64_t chunk = chunk_bytes / (step_elements * static_cast<std::int64_t>(sizeof(W)));
  for (std::int64_t k = 0; k < steps; k += chunk) {
    const std::int64_t length = std::min(chunk, steps - k);
    for (std::int64_t r = 0; r < rows; r += block_rows)
      dispatch<Kernel, block_rows>(std::min(block_rows, rows - r), x + r * ldx + k, ldx,
                                   panel + k * step_elements, length, acc + r * columns);
  }
}

/// Carries a tile's accumulators to y with bias and accumulation.
void write_tile(const float* acc, std::int64_t rows, std::int64_t width, const float* bias, bool accumulate,
                float* y, std::int64_t ldy) {
  for (std::int64_t r = 0; r < rows; ++r) {
    float* out = y + r * ldy;
    const float* in = acc + r * columns;
    for (std::int64_t c = 0; c < width; ++c) {
      const float value = bias == nullptr ? in[c] : in[c] + bias[c];
      out[c] = accumulate ? out[c] + value : value;
    }
  }
}

std::vector<std::uint32_t> pair_rows(const float* x, std::int64_t ldx, std::int64_t n, std::int64_t k) {
  const std::int64_t pairs = round_up(k, 2) / 2;
  std::vector<std::uint32_t> out(static_cast<std::size_t>(n * pairs));
  for (std::int64_t r = 0; r < n; ++r) {
    for (std::int64_t p = 0; p < pairs; ++p) {
      const float* in = x + r * ldx + 2 * p;
      const std::uint32_t low = simd::to_bf16(in[0]);
      const std::uint32_t high = 2 * p + 1 < k ? simd::to_bf16(in[1]) : 0u;
      out[static_cast<std::size_t>(r * pairs + p)] = low | (high << 16);
    }
  }
  return out;
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

void multiply(const float* x, std::int64_t ldx, std::int64_t n, const PackedMatrix& w, std::int64_t v_begin,
              std::int64_t v_end, float* y, std::int64_t ldy, const ProductOptions& options) {
  TWISTOR_ASSERT(v_begin % columns == 0 && v_begin <= v_end && v_end <= w.n(),
                 "a product's columns are out of range");
  if (n == 0 || v_begin == v_end) return;
  const bool is_f32 = w.precision() == Precision::float32;
  const std::int64_t pairs = round_up(w.k(), 2) / 2;
  const std::vector<std::uint32_t> halves =
      is_f32 ? std::vector<std::uint32_t>{} : pair_rows(x, ldx, n, w.k());
  const std::int64_t first = v_begin / columns, last = (v_end + columns - 1) / columns;
  const double flops =
      2.0 * static_cast<double>(n) * static_cast<double>(w.k()) * static_cast<double>(v_end - v_begin);
  // Panels go to whoever is free: on a shared machine one thread may be held up, and bits do not depend on
  // who computes.
#pragma omp parallel for schedule(dynamic, 2) if (flops > threading_flops)
  for (std::int64_t p = first; p < last; ++p) {
    alignas(64) float acc[tile_rows * columns];
    const std::int64_t width = std::min(columns, v_end - p * columns);
    const std::byte* panel = w.panel(p);
    for (std::int64_t r = 0; r < n; r += tile_rows) {
      const std::int64_t rows = std::min(tile_rows, n - r);
      if (is_f32) {
        tile_product<KernelF32>(x + r * ldx, ldx, rows, reinterpret_cast<const float*>(panel), w.k(), columns,
                                acc);
      } else {
        tile_product<KernelBf16>(halves.data() + r * pairs, pairs, rows,
                                 reinterpret_cast<const std::uint16_t*>(panel), pairs, 2 * columns, acc);
      }
      write_tile(acc, rows, width, options.bias == nullptr ? nullptr : options.bias + p * columns,
                 options.accumulate, y + r * ldy + (p * columns - v_begin), ldy);
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
