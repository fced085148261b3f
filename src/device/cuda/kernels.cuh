// All kernels, and with how many threads they run.
#pragma once

#include "row_kernels.cuh"
#include "vocabulary_kernels.cuh"

namespace twistor::device::cuda {
namespace {

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
