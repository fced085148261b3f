// SPDX-License-Identifier: Apache-2.0
// Sums of scores, and draws from them.
#pragma once

#include "platform.cuh"

namespace twistor::device::cuda {
namespace {

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

/// Where a running sum over `n` weights first exceeds u, and what is left of u there as a share of that
/// weight.
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

}  // namespace
}  // namespace twistor::device::cuda
