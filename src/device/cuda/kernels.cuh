// SPDX-License-Identifier: Apache-2.0
// All kernels, and with how many threads they run.
#pragma once

#include "row_kernels.cuh"
#include "vocabulary_kernels.cuh"

namespace twistor::device::cuda {
namespace {

// How many threads, and how much of what is shared.
constexpr int threads_of_norm = 128, threads_of_activation = 256, threads_of_store = 128,
              threads_of_sums = 256, threads_of_draw = 256, threads_of_embed = 128, threads_of_add = 256,
              threads_of_adam = 256;

constexpr int threads_of_attention = 128;

/// Heads whose keys are no whole pieces of 16 bytes are not for these kernels.
inline bool can_attend(const AttendTask& t) {
  const int bytes = t.head_size * (t.is_bfloat16 ? 2 : 4);
  return bytes % 16 == 0 && bytes / 16 <= threads_of_attention;
}
inline std::int64_t shared_of_attention(const AttendTask& t) {
  const std::int64_t groups = threads_of_attention * 16 / (t.head_size * (t.is_bfloat16 ? 2 : 4));
  return 4 * (warp_size + t.head_size * (1 + groups) + t.position + t.n_tokens);
}
inline std::int64_t blocks_for(std::int64_t work, std::int64_t each) {
  return (work + each - 1) / each;
}

}  // namespace
}  // namespace twistor::device::cuda
