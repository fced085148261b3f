// SPDX-License-Identifier: Apache-2.0
// What kernels are written with: plain CUDA C++, compiled by nvcc for GPUs and by the host's compiler for the
// emulator. Sums run in a fixed order, so a row has the same bits in every batch.
#pragma once

#include <cmath>
#include <cstdint>

#include "tasks.hpp"
#ifndef __CUDACC__
#include <cstring>

#include "emulator.hpp"
#endif

namespace twistor::device::cuda {
namespace {  // each of the two who include this has its own

#ifdef __CUDACC__
#define TWISTOR_KERNEL __global__ void
#define TWISTOR_DEVICE __device__ __forceinline__
TWISTOR_DEVICE std::int64_t block_id() {
  return blockIdx.x;
}
TWISTOR_DEVICE int thread_id() {
  return static_cast<int>(threadIdx.x);
}
TWISTOR_DEVICE int thread_count() {
  return static_cast<int>(blockDim.x);
}
TWISTOR_DEVICE void synchronise() {
  __syncthreads();
}
template <class T>
TWISTOR_DEVICE T exchanged(T mine, int mask) {
  return __shfl_xor_sync(0xffffffffU, mine, mask);
}
template <class T>
TWISTOR_DEVICE T* shared() {
  extern __shared__ double memory[];
  return reinterpret_cast<T*>(memory);
}
TWISTOR_DEVICE float float_of(std::uint32_t bits) {
  return __uint_as_float(bits);
}
TWISTOR_DEVICE std::uint32_t bits_of(float x) {
  return __float_as_uint(x);
}
#else
#define TWISTOR_KERNEL inline void
#define TWISTOR_DEVICE inline
TWISTOR_DEVICE std::int64_t block_id() {
  return emulator::block_index();
}
TWISTOR_DEVICE int thread_id() {
  return emulator::thread_index();
}
TWISTOR_DEVICE int thread_count() {
  return emulator::n_threads();
}
TWISTOR_DEVICE void synchronise() {
  emulator::synchronise_block();
}
template <class T>
TWISTOR_DEVICE T exchanged(T mine, int mask) {
  return static_cast<T>(emulator::exchange(static_cast<double>(mine), mask));
}
template <class T>
TWISTOR_DEVICE T* shared() {
  return reinterpret_cast<T*>(emulator::shared_memory());
}
TWISTOR_DEVICE float float_of(std::uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}
TWISTOR_DEVICE std::uint32_t bits_of(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}
#endif

constexpr int warp_size = 32, page = 16;
constexpr int vocabulary_columns = 256;
constexpr double infinity = HUGE_VAL;

// Numbers as they are stored.
struct Bfloat16 {
  std::uint16_t bits;
};
template <class T>
struct alignas(16) Pack {
  T of[16 / sizeof(T)];
};
TWISTOR_DEVICE float wide(float x) {
  return x;
}
TWISTOR_DEVICE float wide(Bfloat16 x) {
  return float_of(static_cast<std::uint32_t>(x.bits) << 16);
}
/// To the nearest, ties to even; NaN stays one.
TWISTOR_DEVICE Bfloat16 rounded(float x) {
  const std::uint32_t bits = bits_of(x);
  if (x != x) return {0x7fc0};
  return {static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16)};
}
TWISTOR_DEVICE void write(const Output& out, std::int64_t at, float x) {
  if (out.is_bfloat16)
    static_cast<Bfloat16*>(out.data)[at] = rounded(x);
  else
    static_cast<float*>(out.data)[at] = x;
}

struct Sum {
  template <class T>
  TWISTOR_DEVICE T operator()(T a, T b) const {
    return a + b;
  }
};
struct Max {
  template <class T>
  TWISTOR_DEVICE T operator()(T a, T b) const {
    return a > b ? a : b;
  }
};

template <class T, class F>
TWISTOR_DEVICE T over_warp(T mine, F join) {
  for (int mask = warp_size / 2; mask > 0; mask /= 2) mine = join(mine, exchanged(mine, mask));
  return mine;
}

/// Over all threads of the block, the same result for each. scratch: one T a warp.
template <class T, class F>
TWISTOR_DEVICE T over_block(T mine, T* scratch, F join) {
  mine = over_warp(mine, join);
  synchronise();  // whoever still reads the scratch of before
  if (thread_id() % warp_size == 0) scratch[thread_id() / warp_size] = mine;
  synchronise();
  T all = scratch[0];
  for (int w = 1; w < thread_count() / warp_size; ++w) all = join(all, scratch[w]);
  return all;
}

}  // namespace
}  // namespace twistor::device::cuda
