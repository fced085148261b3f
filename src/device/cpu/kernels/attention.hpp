// SPDX-License-Identifier: Apache-2.0
// Attention of a few query heads over blocks of keys and values, and of all queries of a text.
#pragma once

#include "simd.hpp"
#include "twistor/device/kernels.hpp"

namespace twistor::device::TWISTOR_ISA::attention {

using simd::F16;
using simd::lanes;

static_assert(kv_block_tokens == lanes);

/// Asks for `n` bytes that are needed soon: blocks lie scattered, and reading one takes less time than its
/// first byte takes to come.
TWISTOR_INLINE void fetch(const std::byte* from, std::int64_t n) {
  for (std::int64_t i = 0; i < n; i += 64) __builtin_prefetch(from + i, 0, 2);
}

/// scores[h][16 b ...] = q[h] . k for G heads and B neighbouring blocks: G * B chains at a time, because one
/// chain alone waits for its multiplier. Each chain runs over d in order. Meanwhile the values are fetched.
template <class E, int G, int B>
void dot_blocks(const HeadsTask& task, std::int64_t first) {
  const E *keys[B], *values[B];
#pragma GCC unroll 4
  for (int b = 0; b < B; ++b) {
    const E* block = reinterpret_cast<const E*>(task.blocks[first + b]);
    keys[b] = block + task.key_offset;
    values[b] = block + task.value_offset;
  }
  const std::int64_t size = task.head_size;
  F16 dot[G][B];
#pragma GCC unroll 4
  for (int g = 0; g < G; ++g)
#pragma GCC unroll 4
    for (int b = 0; b < B; ++b) dot[g][b] = simd::zero();
  for (std::int64_t d = 0; d < size; ++d) {
    F16 k[B];
#pragma GCC unroll 4
    for (int b = 0; b < B; ++b) __builtin_prefetch(values[b] + d * lanes, 0, 2);
#pragma GCC unroll 4
    for (int b = 0; b < B; ++b) k[b] = simd::load(keys[b] + d * lanes);
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g) {
      const F16 x = simd::splat(task.q[g * size + d]);
#pragma GCC unroll 4
      for (int b = 0; b < B; ++b) dot[g][b] = simd::fma(x, k[b], dot[g][b]);
    }
  }
  const F16 scale = simd::splat(task.scale);
  const std::int64_t ld = task.n_blocks * lanes;
#pragma GCC unroll 4
  for (int g = 0; g < G; ++g)
#pragma GCC unroll 4
    for (int b = 0; b < B; ++b) simd::store(task.scores + g * ld + (first + b) * lanes, dot[g][b] * scale);
}

/// Turns n scores, a multiple of 16, into exp(score - max) and returns 1 / sum.
inline float soften(float* scores, std::int64_t n) {
  F16 top = simd::splat(-simd::infinity), total = simd::zero();
  for (std::int64_t i = 0; i < n; i += lanes) top = simd::max(simd::load(scores + i), top);
  const F16 shift = simd::splat(simd::max_lane(top));
  for (std::int64_t i = 0; i < n; i += lanes) {
    const F16 e = simd::exp(simd::load(scores + i) - shift);
    total = total + e;
    simd::store(scores + i, e);
  }
  return 1.0f / simd::sum(total);
}

/// soften() of one head's scores, capped; lanes outside the past get 0.
inline float soften_past(float* scores, const HeadsTask& task) {
  const std::int64_t n = task.n_blocks * lanes, from = task.first_block * lanes;
  if (task.cap > 0)
    for (std::int64_t i = 0; i < n; i += lanes)
      simd::store(scores + i, simd::soft_cap(simd::load(scores + i), simd::splat(task.cap)));
  for (std::int64_t i = from; i < task.begin; ++i) scores[i - from] = -simd::infinity;
  for (std::int64_t i = task.end; i < from + n; ++i) scores[i - from] = -simd::infinity;
  return soften(scores, n);
}

/// out[g][d ...] = inverse[g] sum_i weight[g][i] v[i][d ...] for S vectors of coordinates from d on; tokens
/// in order.
template <class E, int G, int S>
void weigh_values(const HeadsTask& task, const float* inverse, std::int64_t d) {
  constexpr auto bytes = static_cast<std::int64_t>(sizeof(E)) * lanes;
  const std::int64_t ld = task.n_blocks * lanes, size = task.head_size;
  F16 sum[G][S];
#pragma GCC unroll 4
  for (int g = 0; g < G; ++g)
#pragma GCC unroll 4
    for (int s = 0; s < S; ++s) sum[g][s] = simd::zero();
  for (std::int64_t b = 0; b < task.n_blocks; ++b) {
    const E* values = reinterpret_cast<const E*>(task.blocks[b]) + task.value_offset + d;
    // This block's share of the keys that come next: those of the same coordinates.
    if (b < task.n_next) fetch(task.next_blocks[b] + task.next_keys + d * bytes, S * lanes * bytes);
    const float* weight = task.scores + b * lanes;
    const std::int64_t count = simd::least(lanes, task.end - (task.first_block + b) * lanes);
    for (std::int64_t i = 0; i < count; ++i) {
      F16 v[S];
#pragma GCC unroll 4
      for (int s = 0; s < S; ++s) v[s] = simd::load(values + i * task.padded + s * lanes);
#pragma GCC unroll 4
      for (int g = 0; g < G; ++g) {
        const F16 w = simd::splat(weight[g * ld + i]);
#pragma GCC unroll 4
        for (int s = 0; s < S; ++s) sum[g][s] = simd::fma(w, v[s], sum[g][s]);
      }
    }
  }
#pragma GCC unroll 4
  for (int g = 0; g < G; ++g)
#pragma GCC unroll 4
    for (int s = 0; s < S; ++s)
      simd::store_part(task.out + g * size + d + s * lanes, sum[g][s] * simd::splat(inverse[g]),
                       simd::least(lanes, size - d - s * lanes));
}

template <class E, int G>
void attend(const HeadsTask& task) {
  // As many blocks, and as many vectors of coordinates, as their sums fit the registers with.
  constexpr int blocks = simd::has_32_registers ? (G <= 2 ? 4 : 2) : (G == 1 ? 4 : G == 2 ? 2 : 1);
  constexpr int vectors = simd::has_32_registers ? 4 : G <= 2 ? 2 : 1;
  std::int64_t b = 0;
  for (; b + blocks <= task.n_blocks; b += blocks) dot_blocks<E, G, blocks>(task, b);
  for (; b < task.n_blocks; ++b) dot_blocks<E, G, 1>(task, b);
  float inverse[G];
  for (int g = 0; g < G; ++g) inverse[g] = soften_past(task.scores + g * task.n_blocks * lanes, task);
  std::int64_t d = 0;
  for (; d + vectors * lanes <= task.padded; d += vectors * lanes)
    weigh_values<E, G, vectors>(task, inverse, d);
  for (; d < task.padded; d += lanes) weigh_values<E, G, 1>(task, inverse, d);
}

template <class E>
void attend_stored(const HeadsTask& task) {
  static_assert(heads_together == 4);
  switch (task.n_heads) {
    case 1:
      return attend<E, 1>(task);
    case 2:
      return attend<E, 2>(task);
    case 3:
      return attend<E, 3>(task);
    default:
      return attend<E, 4>(task);
  }
}

inline void attend_heads(const HeadsTask& task) {
  if (task.is_bfloat16)
    attend_stored<std::uint16_t>(task);
  else
    attend_stored<float>(task);
}

/// dot[r] = q[r] . k of R rows with 16 keys; each chain runs over d in order.
template <int R>
TWISTOR_INLINE void dot_keys(const float* q, std::int64_t ldq, const float* keys, std::int64_t size,
                             F16 (&dot)[R]) {
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) dot[r] = simd::zero();
  for (std::int64_t d = 0; d < size; ++d) {
    const F16 key = simd::load(keys + d * lanes);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) dot[r] = simd::fma(simd::splat(q[r * ldq + d]), key, dot[r]);
  }
}

/// R query rows of a text from `row` on. The chain of each output is the same for every R.
template <int R>
void attend_text_rows(const TextHeadTask& task, std::int64_t row) {
  const std::int64_t n_blocks = (task.length + lanes - 1) / lanes, ld = n_blocks * lanes;
  const float* q = task.q + row * task.ldq;
  for (std::int64_t b = 0; b < n_blocks; ++b) {
    F16 dot[R];
    dot_keys<R>(q, task.ldq, task.keys + b * task.size * lanes, task.size, dot);
    if (task.added != nullptr) {
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) dot[r] = dot[r] + simd::load(task.added + (row + r) * ld + b * lanes);
    }
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r)
      simd::store(task.scores + r * ld + b * lanes, dot[r] * simd::splat(task.scale));
  }
  float inverse[R];
  for (int r = 0; r < R; ++r) {
    float* scores = task.scores + r * ld;
    for (std::int64_t i = task.length; i < ld; ++i) scores[i] = -simd::infinity;
    inverse[r] = soften(scores, ld);
  }
  for (std::int64_t d = 0; d < task.size; d += lanes) {
    F16 sum[R];
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) sum[r] = simd::zero();
    for (std::int64_t i = 0; i < task.length; ++i) {
      const F16 value = simd::load(task.values + i * task.padded + d);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) sum[r] = simd::fma(simd::splat(task.scores[r * ld + i]), value, sum[r]);
    }
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r)
      simd::store_part(task.out + (row + r) * task.ldout + d, sum[r] * simd::splat(inverse[r]),
                       simd::least(lanes, task.size - d));
  }
}

inline void attend_text_head(const TextHeadTask& task) {
  std::int64_t row = 0;
  for (; row + queries_together <= task.length; row += queries_together)
    attend_text_rows<queries_together>(task, row);
  for (; row < task.length; ++row) attend_text_rows<1>(task, row);
}

template <int R>
void dot_text_rows(const float* q, std::int64_t ldq, std::int64_t size, const float* keys,
                   std::int64_t n_blocks, float* out) {
  for (std::int64_t b = 0; b < n_blocks; ++b) {
    F16 dot[R];
    dot_keys<R>(q, ldq, keys + b * size * lanes, size, dot);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) simd::store(out + (r * n_blocks + b) * lanes, dot[r]);
  }
}

inline void dot_text_head(const float* q, std::int64_t ldq, std::int64_t rows, std::int64_t size,
                          const float* keys, std::int64_t n_blocks, float* out) {
  const std::int64_t width = n_blocks * lanes;
  std::int64_t row = 0;
  for (; row + queries_together <= rows; row += queries_together)
    dot_text_rows<queries_together>(q + row * ldq, ldq, size, keys, n_blocks, out + row * width);
  for (; row < rows; ++row) dot_text_rows<1>(q + row * ldq, ldq, size, keys, n_blocks, out + row * width);
}

}  // namespace twistor::device::TWISTOR_ISA::attention
