// SPDX-License-Identifier: Apache-2.0
// The processor's own rate of fused multiply-adds, by a loop over registers that touches no memory.
#pragma once

#include <immintrin.h>
#include <omp.h>

#include <algorithm>
#include <cstdint>

#include "bench_tools.hpp"
#include "twistor/device/isa.hpp"

namespace twistor::bench {

inline constexpr int n_chains =
    12;  // enough to hide the latency of a multiplier, few enough for sixteen registers

[[gnu::target("avx2,fma"), gnu::noinline]] inline float fma_loop_avx2(std::int64_t n) {
  __m256 sums[n_chains];
  for (auto& sum : sums) sum = _mm256_set1_ps(0.5F);
  const __m256 factor = _mm256_set1_ps(0.999F), term = _mm256_set1_ps(0.001F);
  for (std::int64_t i = 0; i < n; ++i)
#pragma GCC unroll 12
    for (auto& sum : sums) sum = _mm256_fmadd_ps(sum, factor, term);
  for (int i = 1; i < n_chains; ++i) sums[0] = _mm256_add_ps(sums[0], sums[i]);
  return _mm256_cvtss_f32(sums[0]);
}

[[gnu::target("avx512f"), gnu::noinline]] inline float fma_loop_avx512(std::int64_t n) {
  __m512 sums[n_chains];
  for (auto& sum : sums) sum = _mm512_set1_ps(0.5F);
  const __m512 factor = _mm512_set1_ps(0.999F), term = _mm512_set1_ps(0.001F);
  for (std::int64_t i = 0; i < n; ++i)
#pragma GCC unroll 12
    for (auto& sum : sums) sum = _mm512_fmadd_ps(sum, factor, term);
  for (int i = 1; i < n_chains; ++i) sums[0] = _mm512_add_ps(sums[0], sums[i]);
  return _mm512_cvtss_f32(sums[0]);
}

/// float32 FLOP/s of all threads with the instruction set in use.
inline double fma_peak() {
  const bool is_wide = device::isa_in_use() != device::Isa::avx2;
  constexpr std::int64_t n = 20'000'000;
  float sink = 0;
  const double best = best_time(5, [&] {
#pragma omp parallel reduction(+ : sink)
    sink += is_wide ? fma_loop_avx512(n) : fma_loop_avx2(n);
  });
  if (!(sink > 0)) fmt::print("the sum is wrong\n");  // keeps the work from being removed
  return 2.0 * n_chains * (is_wide ? 16 : 8) * static_cast<double>(n) * omp_get_max_threads() / best;
}

}  // namespace twistor::bench
