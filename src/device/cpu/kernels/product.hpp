// SPDX-License-Identifier: Apache-2.0
// Register kernels of the packed product: a block of rows by one panel of 32 columns.
//
// A panel's step of k is 128 bytes: 32 floats, or 32 pairs of bfloat16. Every sum is one chain of fused
// multiply-adds in the order of k, whatever the height and width of the block, so blocks are cut to fit the
// registers: 12 rows by 32 columns with AVX-512's 32 registers, 6 rows by 16 columns with AVX2's 16, and wide
// low blocks for few rows, because a multiplier wants about eight chains at a time.
#pragma once

#include "simd.hpp"
#include "twistor/device/kernels.hpp"

namespace twistor::device::TWISTOR_ISA::product {

using simd::Integers;
using simd::Register;

inline constexpr std::int64_t columns = panel_width;
inline constexpr std::int64_t step_bytes = 128;
/// A chunk of a panel and its share of the rows stay in the first cache; the next chunk is fetched meanwhile.
inline constexpr std::int64_t chunk_steps = 96;
inline constexpr int width = static_cast<int>(simd::register_lanes);
inline constexpr int panel_registers = static_cast<int>(columns) / width;  // across a panel

// Highest block, and how many registers across a block of R rows takes at a time.
inline constexpr int block_rows = simd::has_32_registers ? 12 : 6;
template <int R>
inline constexpr int registers_across = simd::has_32_registers || R > 3 ? 2 : 4;

/// A step of float32: one number of x and `Register`s of the panel.
struct FloatSteps {
  using X = float;
  static constexpr int per_step = 1;  // numbers of x
  template <int R, int C>
  TWISTOR_INLINE static void step(const X* const* x, std::int64_t ldx, const std::byte* w,
                                  Register (&sums)[R][C]) {
    Register panel[C];
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) panel[c] = simd::load_register(reinterpret_cast<const float*>(w) + c * width);
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const Register value = simd::splat_register(x[r / 3][(r % 3) * ldx]);
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) sums[r][c] = simd::fma(value, panel[c], sums[r][c]);
    }
  }
};

/// sums (R, 32) (+)= x (R, steps) w (steps, 32) in columns [0, C * width) of both, k in order; from zero when
/// `is_fresh`. Lines: how many cache lines from `ahead` are fetched with each step.
template <class Steps, int R, int C, int Lines>
void block(const typename Steps::X* x, std::int64_t ldx, const std::byte* w, std::int64_t steps,
           bool is_fresh, const std::byte* ahead, float* sums) {
  Register s[R][C];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c)
      s[r][c] = is_fresh ? simd::splat_register(0.0f) : simd::load_register(sums + r * columns + c * width);
  // Three rows share a pointer, so that all addresses fit the integer registers.
  constexpr int n_pointers = (R + 2) / 3;
  const typename Steps::X* pointers[n_pointers];
#pragma GCC unroll 4
  for (int i = 0; i < n_pointers; ++i) pointers[i] = x + 3 * i * ldx;
  for (std::int64_t k = 0; k < steps; ++k, w += step_bytes, ahead += step_bytes) {
    if constexpr (Lines > 0) __builtin_prefetch(ahead, 0, 2);
    if constexpr (Lines > 1) __builtin_prefetch(ahead + 64, 0, 2);
    Steps::template step<R, C>(pointers, ldx, w, s);
#pragma GCC unroll 4
    for (int i = 0; i < n_pointers; ++i) pointers[i] += Steps::per_step;
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) simd::store_register(sums + r * columns + c * width, s[r][c]);
}

/// All 32 columns of R rows.
template <class Steps, int R, int Lines>
void rows_block(const typename Steps::X* x, std::int64_t ldx, const std::byte* w, std::int64_t steps,
                bool is_fresh, const std::byte* ahead, float* sums) {
  constexpr int across = registers_across<R>;
  block<Steps, R, across, Lines>(x, ldx, w, steps, is_fresh, ahead, sums);
  if constexpr (across < panel_registers) {
    constexpr int rest = panel_registers - across;
    static_assert(rest <= across);
    block<Steps, R, rest, 0>(x, ldx, w + across * width * 4, steps, is_fresh, w, sums + across * width);
  }
}

/// Runs the kernel of the right height.
template <class Steps, int Lines, int R = block_rows, class... Args>
void dispatch(std::int64_t rows, Args... args) {
  if (rows == R) {
    rows_block<Steps, R, Lines>(args...);
  } else if constexpr (R > 1) {
    dispatch<Steps, Lines, R - 1>(rows, args...);
  }
}

/// sums (rows, 32) (+)= x (rows, steps) w (steps, 32). The rows are cut into blocks of nearly equal height,
/// because low blocks leave multipliers idle; the first blocks fetch a chunk from `ahead`, if there is one.
template <class Steps>
void chunk(const typename Steps::X* x, std::int64_t ldx, std::int64_t rows, const std::byte* w,
           std::int64_t steps, bool is_fresh, const std::byte* ahead, float* sums) {
  const std::int64_t n_blocks = (rows + block_rows - 1) / block_rows;
  for (std::int64_t b = 0; b < n_blocks; ++b) {
    const std::int64_t first = rows * b / n_blocks, height = rows * (b + 1) / n_blocks - first;
    const auto* block_x = x + first * ldx;
    float* out = sums + first * columns;
    if (ahead == nullptr || b > 1) {
      dispatch<Steps, 0>(height, block_x, ldx, w, steps, is_fresh, w, out);
    } else if (n_blocks == 1) {
      dispatch<Steps, 2>(height, block_x, ldx, w, steps, is_fresh, ahead, out);
    } else {
      dispatch<Steps, 1>(height, block_x, ldx, w, steps, is_fresh, ahead + 64 * b, out);
    }
  }
}

/// sums (rows, 32) = x (rows, steps) panel, chunk by chunk.
template <class Steps>
void tile(const typename Steps::X* x, std::int64_t ldx, std::int64_t rows, const std::byte* panel,
          std::int64_t steps, float* sums) {
  const std::int64_t n_chunks = steps <= chunk_steps ? 1 : (steps + chunk_steps - 1) / chunk_steps;
  for (std::int64_t c = 0; c < n_chunks; ++c) {
    const std::int64_t k = steps * c / n_chunks, length = steps * (c + 1) / n_chunks - k;
    const std::byte* w = panel + k * step_bytes;
    chunk<Steps>(x + k * Steps::per_step, ldx, rows, w, length, c == 0, w + chunk_steps * step_bytes, sums);
  }
}

inline void tile_float32(const float* x, std::int64_t ldx, std::int64_t rows, const std::byte* panel,
                         std::int64_t k, float* sums) {
  tile<FloatSteps>(x, ldx, rows, panel, k, sums);
}

/// Carries a tile's sums to y with bias and accumulation.
inline void write_tile(const float* sums, std::int64_t rows, const TileOutput& output) {
  for (std::int64_t r = 0; r < rows; ++r) {
    float* out = output.y + r * output.ldy;
    const float* in = sums + r * columns;
    for (std::int64_t c = 0; c < output.width; c += simd::lanes) {
      const std::int64_t count = simd::least(simd::lanes, output.width - c);
      simd::F16 value = simd::load(in + c);
      if (output.bias != nullptr) value = value + simd::load_part(output.bias + c, count, 0.0f);
      if (output.accumulate) value = simd::load_part(out + c, count, 0.0f) + value;
      simd::store_part(out + c, value, count);
    }
  }
}

}  // namespace twistor::device::TWISTOR_ISA::product
