// The kernels: plain CUDA C++ without vector types or shuffles by name, compiled by nvcc for GPUs and by the host's
// compiler for the emulator. Sums run in a fixed order, so a row has the same bits in every batch.
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

TWISTOR_KERNEL norm_rows(NormTask t) {
  float* const scratch = shared<float>();
  const float* const x = t.x + block_id() * t.d;
  float mean = 0;
  if (t.bias != nullptr) {
    float sum = 0;
    for (int c = thread_id(); c < t.d; c += thread_count()) sum += x[c];
    mean = over_block(sum, scratch, Sum{}) / static_cast<float>(t.d);
  }
  float squares = 0;
  for (int c = thread_id(); c < t.d; c += thread_count()) squares += (x[c] - mean) * (x[c] - mean);
  const float variance = over_block(squares, scratch, Sum{}) / static_cast<float>(t.d);
  const float factor = 1.0f / sqrtf(variance + t.eps);
  for (int c = thread_id(); c < t.d; c += thread_count()) {
    const float y = (x[c] - mean) * factor * t.weight[c];
    write(t.out, block_id() * t.d + c, t.bias == nullptr ? y : y + t.bias[c]);
  }
}

TWISTOR_DEVICE float activated(int kind, float x) {
  if (kind == 0) return 0.5f * x * (1.0f + tanhf(0.7978845608f * (x + 0.044715f * x * x * x)));
  if (kind == 1) return 0.5f * x * (1.0f + erff(x * 0.7071067812f));
  return x / (1.0f + expf(-x));
}

TWISTOR_KERNEL activate_rows(ActivateTask t) {
  const std::int64_t i = block_id() * thread_count() + thread_id();
  if (i >= t.n * t.f) return;
  if (!t.is_gated) return write(t.out, i, activated(t.kind, t.x[i]));
  const float* const gate = t.x + i / t.f * 2 * t.f + i % t.f;
  write(t.out, i, activated(t.kind, gate[0]) * gate[t.f]);
}

TWISTOR_KERNEL store_rows(StoreTask t) {
  const int q = t.n_heads * t.head_size, kv = t.n_kv_heads * t.head_size;
  float* const row = t.qkv + block_id() * (q + 2 * kv);
  if (t.cosine != nullptr) {
    const std::int64_t angle = block_id() % t.n_tokens * t.pairs;
    for (int i = thread_id(); i < (t.n_heads + t.n_kv_heads) * t.pairs; i += thread_count()) {
      const int pair = i % t.pairs;
      float* const head = row + i / t.pairs * t.head_size;
      float& first = head[t.is_interleaved ? 2 * pair : pair];
      float& second = head[t.is_interleaved ? 2 * pair + 1 : pair + t.pairs];
      const float c = t.cosine[angle + pair], s = t.sine[angle + pair], a = first, b = second;
      first = a * c - b * s;
      second = b * c + a * s;
    }
    synchronise();
  }
  const std::int64_t to = t.slots[block_id()] * kv;
  for (int i = thread_id(); i < kv; i += thread_count()) {
    write(t.keys, to + i, row[q + i]);
    write(t.values, to + i, row[q + kv + i]);
  }
}

template <class E>
TWISTOR_DEVICE float dot(const float* q, const E* k, int n) {
  constexpr int together = 16 / static_cast<int>(sizeof(E));
  float sum = 0;
  int i = 0;
  if (n % together == 0)
    for (; i < n; i += together) {
      const Pack<E> pack = *reinterpret_cast<const Pack<E>*>(k + i);
      for (int j = 0; j < together; ++j) sum += q[i + j] * wide(pack.of[j]);
    }
  for (; i < n; ++i) sum += q[i] * wide(k[i]);
  return sum;
}

/// One head of one row. Shared: a T a warp, the query, the weights of positions, partial sums of the output.
template <class E>
TWISTOR_KERNEL attend_head(AttendTask t) {
  const std::int64_t row = block_id() / t.n_heads;
  const int head = static_cast<int>(block_id() % t.n_heads), size = t.head_size,
            kv_head = head / (t.n_heads / t.n_kv_heads);
  const int position = t.position + static_cast<int>(row % t.n_tokens);
  const int begin = t.window > 0 && position + 1 > t.window ? position + 1 - t.window : 0,
            n = position + 1 - begin;
  const std::int32_t* const blocks = t.table + row / t.n_tokens * t.blocks_each;
  const int groups = thread_count() / size;
  float* const scratch = shared<float>();
  float* const q = scratch + warp_size;
  float* const partial = q + size;
  float* const weight = partial + groups * size;
  const auto element = [&](int i) {
    const int at = begin + i;
    const std::int64_t slot = static_cast<std::int64_t>(blocks[at / page]) * page + at % page;
    return (slot * t.n_kv_heads + kv_head) * size;
  };
  const float* const own = t.qkv + row * (t.n_heads + 2 * t.n_kv_heads) * size + head * size;
  for (int d = thread_id(); d < size; d += thread_count()) q[d] = own[d] * t.scale;
  synchronise();
  float top = -static_cast<float>(infinity);
  for (int i = thread_id(); i < n; i += thread_count()) {
    float score = dot(q, static_cast<const E*>(t.keys) + element(i), size);
    if (t.cap > 0) score = t.cap * tanhf(score / t.cap);
    weight[i] = score;
    top = score > top ? score : top;
  }
  top = over_block(top, scratch, Max{});
  float sum = 0;
  for (int i = thread_id(); i < n; i += thread_count()) sum += weight[i] = expf(weight[i] - top);
  sum = over_block(sum, scratch, Sum{});
  const int group = thread_id() / size, d = thread_id() % size;
  if (group < groups) {
    float own_sum = 0;
    for (int i = group; i < n; i += groups)
      own_sum += weight[i] * wide(static_cast<const E*>(t.values)[element(i) + d]);
    partial[group * size + d] = own_sum;
  }
  synchronise();
  for (int c = thread_id(); c < size; c += thread_count()) {
    float all = 0;
    for (int g = 0; g < groups; ++g) all += partial[g * size + c];
    write(t.out, (row * t.n_heads + head) * size + c, all / sum);
  }
}

/// log sum exp of 8 values a lane.
TWISTOR_DEVICE double log_sum_of_warp(const float* values) {
  float top = -static_cast<float>(infinity);
  for (int j = 0; j < 8; ++j) top = values[j] > top ? values[j] : top;
  top = over_warp(top, Max{});
  if (top == -static_cast<float>(infinity)) top = 0;  // all weights are 0, unless there is a NaN
  float sum = 0;
  for (int j = 0; j < 8; ++j) sum += expf(values[j] - top);
  return static_cast<double>(top) + log(over_warp(static_cast<double>(sum), Sum{}));
}

/// A warp for each block of columns.
TWISTOR_KERNEL sum_blocks(BlockSumsTask t) {
  const std::int64_t i = block_id() * (thread_count() / warp_size) + thread_id() / warp_size;
  if (i >= t.n * t.blocks) return;
  const int lane = thread_id() % warp_size;
  const std::int64_t first = i * vocabulary_columns + lane * 8;
  float a[8], scores[8];
  for (int half = 0; half < 2; ++half) {
    const Pack<float> pack = *reinterpret_cast<const Pack<float>*>(t.a + first + 4 * half);
    for (int j = 0; j < 4; ++j) a[4 * half + j] = pack.of[j];
  }
  const double of_a = log_sum_of_warp(a);
  if (lane == 0) t.of_a[i] = of_a;
  if (t.b == nullptr) return;
  for (int half = 0; half < 2; ++half) {
    const Pack<float> pack = *reinterpret_cast<const Pack<float>*>(t.b + first + 4 * half);
    for (int j = 0; j < 4; ++j) scores[4 * half + j] = a[4 * half + j] + t.beta * pack.of[j];
  }
  const double of_scores = log_sum_of_warp(scores);
  if (lane == 0) t.of_scores[i] = of_scores;
}

TWISTOR_KERNEL sum_rows(RowSumsTask t) {
  double* const scratch = shared<double>();
  const double* const x = t.x + block_id() * t.width;
  double top = -infinity, sum = 0;
  for (int i = thread_id(); i < t.width; i += thread_count()) top = x[i] > top ? x[i] : top;
  top = over_block(top, scratch, Max{});
  if (top == -infinity) top = 0;
  for (int i = thread_id(); i < t.width; i += thread_count()) sum += exp(x[i] - top);
  sum = over_block(sum, scratch, Sum{});
  if (thread_id() == 0) t.out[block_id()] = top + log(sum);
}

/// Where a running sum over `n` weights first exceeds u, and what is left of u there as a share of that weight.
struct Found {
  int index;
  double rest;
};
/// weight(i), i < n. scratch: thread_count() + 2 doubles.
template <class Weight>
TWISTOR_DEVICE Found find(int n, double u, double* scratch, Weight weight) {
  const int each = (n + thread_count() - 1) / thread_count(), begin = thread_id() * each,
            end = begin + each < n ? begin + each : n;
  double own = 0;
  int last = -1;
  for (int i = begin; i < end; ++i) {
    const double w = weight(i);
    own += w;
    if (w > 0) last = i;
  }
  double* const sums = scratch + 2;
  synchronise();
  sums[thread_id()] = own;
  for (int offset = 1; offset < thread_count(); offset *= 2) {  // to running sums
    synchronise();
    const double before = thread_id() >= offset ? sums[thread_id() - offset] : 0;
    synchronise();
    sums[thread_id()] += before;
  }
  synchronise();
  const double below = thread_id() == 0 ? 0 : sums[thread_id() - 1], until = sums[thread_id()];
  const bool is_beyond = sums[thread_count() - 1] <= u;  // by rounding: then the last weight is taken
  const int last_of_all = static_cast<int>(over_block(static_cast<double>(last), scratch, Max{}));
  synchronise();
  const bool is_mine = is_beyond ? last >= 0 && last == last_of_all : below <= u && u < until;
  if (is_mine) {
    double sum = below, at = 0;
    int index = last;
    for (int i = begin; i <= last; ++i) {
      at = weight(i);
      sum += at;
      if (at > 0 && sum > u) {
        index = i;
        break;
      }
    }
    const double rest = (u - (sum - at)) / at;
    scratch[0] = static_cast<double>(index);
    scratch[1] = rest < 0 ? 0 : rest > 1 ? 1 : rest;
  }
  synchronise();
  return {static_cast<int>(scratch[0]), scratch[1]};
}

/// A block of threads for each draw.
TWISTOR_KERNEL draw_token(DrawTask t) {
  double* const scratch = shared<double>();
  const std::int64_t i = block_id(), row = t.row_of[i];
  const std::int64_t scores = row * t.blocks * vocabulary_columns;
  const double log_sum = t.log_sums[row];
  std::int64_t token = 0;
  if (t.forced != nullptr && t.forced[i] >= 0) {
    token = t.forced[i];
  } else if (log_sum > -infinity) {
    const double* const sums = t.sums + row * t.blocks;
    const Found block = find(t.blocks, t.u[i], scratch, [&](int j) { return exp(sums[j] - log_sum); });
    const std::int64_t first = scores + static_cast<std::int64_t>(block.index) * vocabulary_columns;
    const double within = sums[block.index];
    const Found column = find(vocabulary_columns, block.rest, scratch, [&](int j) {
      float score = t.a[first + j];
      if (t.draws_from_sum) score = score + t.beta * t.b[first + j];
      return exp(static_cast<double>(score) - within);
    });
    token = static_cast<std::int64_t>(block.index) * vocabulary_columns + column.index;
  }
  if (thread_id() != 0) return;
  t.out[i] = static_cast<double>(token);
  t.out[t.k + i] = static_cast<double>(t.a[scores + token]);
  t.out[2 * t.k + i] = t.b == nullptr ? 0 : static_cast<double>(t.b[scores + token]);
}

// How many threads, and how much of what is shared.
constexpr int threads_of_norm = 128, threads_of_activation = 256, threads_of_store = 128,
              threads_of_sums = 256, threads_of_draw = 256;

inline int threads_of_attention(const AttendTask& t) {
  return t.head_size <= 128 ? 128 : (t.head_size + warp_size - 1) / warp_size * warp_size;
}
inline std::int64_t shared_of_attention(const AttendTask& t) {
  const std::int64_t groups = threads_of_attention(t) / t.head_size;
  return 4 * (warp_size + t.head_size * (1 + groups) + t.position + t.n_tokens);
}
inline std::int64_t blocks_for(std::int64_t work, std::int64_t each) {
  return (work + each - 1) / each;
}

}  // namespace
}  // namespace twistor::device::cuda
