// Register kernels of the packed product: blocks of up to 12 rows by one panel of 32 columns. Private to the
// model room.
#pragma once

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "simd.hpp"

namespace twistor::model::kernels {

using simd::F16;

inline constexpr std::int64_t columns = 32;
inline constexpr std::int64_t block_rows = 12;   // 24 accumulators of 16 lanes, within 32 registers
inline constexpr std::int64_t tile_rows = 96;    // accumulators of a tile: 12 KiB
inline constexpr std::int64_t step_bytes = 128;  // one step of k in a panel: 32 floats, or 32 pairs of bf16
/// A chunk of a panel and its share of the rows stay in the first cache; the next chunk is fetched meanwhile.
inline constexpr std::int64_t chunk_steps = 96;

/// One step of k is one float of x and 32 floats of the panel.
struct FloatSteps {
  using X = float;
  static F16 splat(const X* x) { return simd::splat(*x); }
  static F16 load(const std::byte* w) { return simd::load(reinterpret_cast<const float*>(w)); }
  static F16 multiply_add(F16 x, F16 w, F16 acc) { return x * w + acc; }
};

/// One step of k is a pair of neighbouring bf16 of x, and 32 such pairs of the panel.
struct PairSteps {
  using X = std::uint32_t;
  static F16 splat(const X* x) {
    float bits;
    std::memcpy(&bits, x, sizeof bits);
    return simd::splat(bits);
  }
  static F16 load(const std::byte* w) { return simd::load(reinterpret_cast<const float*>(w)); }
  static F16 multiply_add(F16 x, F16 w, F16 acc) {
#if defined(__AVX512BF16__)
    return reinterpret_cast<F16>(_mm512_dpbf16_ps(
        reinterpret_cast<__m512>(acc), reinterpret_cast<__m512bh>(x), reinterpret_cast<__m512bh>(w)));
#else
    acc = low(x) * low(w) + acc;
    return high(x) * high(w) + acc;
#endif
  }

 private:
  [[maybe_unused]] static F16 low(F16 pairs) {
    simd::I16 bits;
    std::memcpy(&bits, &pairs, sizeof bits);
    bits <<= 16;
    std::memcpy(&pairs, &bits, sizeof bits);
    return pairs;
  }
  [[maybe_unused]] static F16 high(F16 pairs) {
    simd::I16 bits;
    std::memcpy(&bits, &pairs, sizeof bits);
    bits &= static_cast<std::int32_t>(0xFFFF0000u);
    std::memcpy(&pairs, &bits, sizeof bits);
    return pairs;
  }
};

/// acc(R, 32) (+)= x(R, steps) w(steps, 32), k in order; starts from zero when `is_fresh`. Lines: how many
/// cache lines from `ahead` are fetched with each step.
template <class Steps, int R, int Lines>
void block_product(const typename Steps::X* x, std::int64_t ldx, const std::byte* w, std::int64_t steps,
                   bool is_fresh, const std::byte* ahead, float* acc) {
  F16 a[R][2];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
    a[r][0] = is_fresh ? F16{} : simd::load(acc + r * columns);
    a[r][1] = is_fresh ? F16{} : simd::load(acc + r * columns + 16);
  }
  // Three rows share a pointer, so that all addresses fit the integer registers.
  constexpr int n_pointers = (R + 2) / 3;
  const typename Steps::X* pointers[n_pointers];
#pragma GCC unroll 4
  for (int i = 0; i < n_pointers; ++i) pointers[i] = x + 3 * i * ldx;
  for (std::int64_t k = 0; k < steps; ++k, w += step_bytes, ahead += step_bytes) {
    if constexpr (Lines > 0) __builtin_prefetch(ahead, 0, 2);
    if constexpr (Lines > 1) __builtin_prefetch(ahead + 64, 0, 2);
    const F16 w0 = Steps::load(w), w1 = Steps::load(w + 64);
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const F16 value = Steps::splat(pointers[r / 3] + (r % 3) * ldx);
      a[r][0] = Steps::multiply_add(value, w0, a[r][0]);
      a[r][1] = Steps::multiply_add(value, w1, a[r][1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < n_pointers; ++i) ++pointers[i];
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
    simd::store(acc + r * columns, a[r][0]);
    simd::store(acc + r * columns + 16, a[r][1]);
  }
}

/// Runs the kernel of the right height. The chain of an element is the same at every height.
template <class Steps, int Lines, int R = block_rows, class... Args>
void dispatch(std::int64_t rows, Args... args) {
  if (rows == R) {
    block_product<Steps, R, Lines>(args...);
  } else if constexpr (R > 1) {
    dispatch<Steps, Lines, R - 1>(rows, args...);
  }
}

/// acc(rows, 32) (+)= x(rows, steps) w(steps, 32). The rows are cut into blocks of nearly equal height,
/// because low blocks leave multipliers idle; the first blocks fetch a chunk from `ahead`, if there is one.
template <class Steps>
void chunk_product(const typename Steps::X* x, std::int64_t ldx, std::int64_t rows, const std::byte* w,
                   std::int64_t steps, bool is_fresh, const std::byte* ahead, float* acc) {
  const std::int64_t n_blocks = (rows + block_rows - 1) / block_rows;
  for (std::int64_t b = 0; b < n_blocks; ++b) {
    const std::int64_t first = rows * b / n_blocks, height = rows * (b + 1) / n_blocks - first;
    const auto* block_x = x + first * ldx;
    float* out = acc + first * columns;
    if (ahead == nullptr || b > 1) {
      dispatch<Steps, 0>(height, block_x, ldx, w, steps, is_fresh, w, out);
    } else if (n_blocks == 1) {
      dispatch<Steps, 2>(height, block_x, ldx, w, steps, is_fresh, ahead, out);
    } else {
      dispatch<Steps, 1>(height, block_x, ldx, w, steps, is_fresh, ahead + 64 * b, out);
    }
  }
}

/// acc(rows, 32) = x(rows, K) panel^T for one tile of rows.
template <class Steps>
void tile_product(const typename Steps::X* x, std::int64_t ldx, std::int64_t rows, const std::byte* panel,
                  std::int64_t steps, float* acc) {
  const std::int64_t n_chunks = std::max<std::int64_t>(1, (steps + chunk_steps - 1) / chunk_steps);
  for (std::int64_t c = 0; c < n_chunks; ++c) {
    const std::int64_t k = steps * c / n_chunks, length = steps * (c + 1) / n_chunks - k;
    const std::byte* w = panel + k * step_bytes;
    chunk_product<Steps>(x + k, ldx, rows, w, length, c == 0, w + chunk_steps * step_bytes, acc);
  }
}

/// One group of 4-bit codes, (group, 32) out.
TWISTOR_INLINE void expand_codes4(const std::byte* from, std::int64_t group, F16 scale, F16 offset,
                                  float* out) {
  for (std::int64_t i = 0; i < group; i += 8, from += columns * 4) {
    simd::I16 words;
    std::memcpy(&words, from, sizeof words);
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
      const F16 code = __builtin_convertvector((words >> (4 * j)) & 15, F16);
      simd::store(out + (i + j) * columns, code * scale + offset);
    }
  }
}
TWISTOR_INLINE void expand_codes8(const std::byte* from, std::int64_t group, F16 scale, F16 offset,
                                  float* out) {
  for (std::int64_t i = 0; i < group; ++i, from += columns)
    simd::store(out + i * columns, simd::load(reinterpret_cast<const std::int8_t*>(from)) * scale + offset);
}

/// The same for panels of codes: each chunk is expanded into the first cache, where all rows use it. A
/// product of scale and code is exact, so the fused sum rounds like the file reader's.
inline void tile_product_codes(const float* x, std::int64_t ldx, std::int64_t rows, const std::byte* panel,
                               std::int64_t steps, std::int64_t group, bool is_four_bits, float* acc) {
  alignas(64) float expanded[chunk_steps * columns];
  const std::int64_t code_bytes = is_four_bits ? 4 : 1;  // of 16 columns: 64 for eight steps, or 16 for one
  const std::int64_t bytes = 2 * columns * 4 + group * columns * (is_four_bits ? 1 : 2) / 2;
  for (std::int64_t k = 0; k < steps; k += chunk_steps) {
    const std::int64_t length = std::min(chunk_steps, steps - k);
    for (std::int64_t i = 0; i < length; i += group, panel += bytes) {
      for (std::int64_t b = 0; b < bytes; b += 64) __builtin_prefetch(panel + 4096 + b, 0, 2);
      const auto* numbers = reinterpret_cast<const float*>(panel);
      for (std::int64_t half = 0; half < 2; ++half) {
        const F16 scale = simd::load(numbers + 16 * half), offset = simd::load(numbers + columns + 16 * half);
        const std::byte* codes = panel + 2 * columns * 4 + 16 * half * code_bytes;
        float* out = expanded + i * columns + 16 * half;
        if (is_four_bits) {
          expand_codes4(codes, group, scale, offset, out);
        } else {
          expand_codes8(codes, group, scale, offset, out);
        }
      }
    }
    chunk_product<FloatSteps>(x + k, ldx, rows, reinterpret_cast<const std::byte*>(expanded), length, k == 0,
                              nullptr, acc);
  }
}

}  // namespace twistor::model::kernels
