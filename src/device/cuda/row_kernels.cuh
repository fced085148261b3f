// SPDX-License-Identifier: Apache-2.0
// Norms, activations, attention with its cache, and steps of Adam.
#pragma once

#include "platform.cuh"

namespace twistor::device::cuda {
namespace {

TWISTOR_KERNEL norm_rows(NormTask t) {
  float* const scratch = shared<float>();
  const std::int64_t first = block_id() / t.runs * t.stride + block_id() % t.runs * t.d;
  const float* const x = t.x + first;
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
    write(t.out, first + c, t.bias == nullptr ? y : y + t.bias[c]);
  }
}

TWISTOR_DEVICE float read(const Input& in, std::int64_t at) {
  return in.is_bfloat16 ? wide(static_cast<const Bfloat16*>(in.data)[at])
                        : static_cast<const float*>(in.data)[at];
}

TWISTOR_KERNEL embed_rows(EmbedTask t) {
  const std::int64_t row = block_id(), from = t.tokens[row] * t.d;
  const std::int64_t position = *t.position + row % t.n_tokens;
  for (int c = thread_id(); c < t.d; c += thread_count()) {
    const float x = t.scale * read(t.table, from + c);
    t.out[row * t.d + c] = t.positions.data == nullptr ? x : x + read(t.positions, position * t.d + c);
  }
}

TWISTOR_KERNEL add_numbers(AddTask t) {
  const std::int64_t i = block_id() * thread_count() + thread_id();
  if (i < t.n) t.x[i] += t.scale * t.y[i];
}

TWISTOR_KERNEL adam_numbers(AdamTask t) {
  const std::int64_t i = block_id() * thread_count() + thread_id();
  if (i >= t.n) return;
  const std::int64_t row = t.place == nullptr ? i / t.width : t.place[i / t.width];
  const float g = row < 0 ? 0.0f : t.gradient[row * t.width + i % t.width];
  const float m = t.step.beta1 * t.m[i] + t.step.one_minus_beta1 * g,
              v = t.step.beta2 * t.v[i] + t.step.one_minus_beta2 * g * g;
  t.m[i] = m;
  t.v[i] = v;
  t.value[i] -= t.step.rate * m / (sqrtf(v) * t.step.scale + t.step.epsilon);
}

TWISTOR_DEVICE float activated(int kind, float x) {
  if (kind == 0) return 0.5f * x * (1.0f + tanhf(0.7978845608f * (x + 0.044715f * x * x * x)));
  if (kind == 1) return 0.5f * x * (1.0f + erff(x * 0.7071067812f));
  if (kind == 2) return x / (1.0f + expf(-x));
  return kind == 3 ? (x < 0 ? 0.0f : x) : tanhf(x);
}

/// Neighbouring numbers a thread, read at once where rows are whole pieces.
constexpr int activated_together = 4;

TWISTOR_KERNEL activate_rows(ActivateTask t) {
  const std::int64_t first = (block_id() * thread_count() + thread_id()) * activated_together;
  const std::int64_t width = t.is_gated ? 2 * t.f : t.f;
  if (t.f % activated_together != 0) {
    for (std::int64_t i = first; i < first + activated_together && i < t.n * t.f; ++i) {
      const float* const x = t.x + i / t.f * width + i % t.f;
      write(t.out, i, t.is_gated ? activated(t.kind, x[0]) * x[t.f] : activated(t.kind, x[0]));
    }
    return;
  }
  if (first >= t.n * t.f) return;
  const float* const x = t.x + first / t.f * width + first % t.f;
  Pack<float> gate = *reinterpret_cast<const Pack<float>*>(x);
  for (float& value : gate.of) value = activated(t.kind, value);
  if (t.is_gated) {
    const Pack<float> up = *reinterpret_cast<const Pack<float>*>(x + t.f);
    for (int j = 0; j < activated_together; ++j) gate.of[j] *= up.of[j];
  }
  for (int j = 0; j < activated_together; ++j) write(t.out, first + j, gate.of[j]);
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

/// Lanes that share a position: each has 16 bytes of its keys and values.
template <class E>
TWISTOR_DEVICE int lanes_of(int head_size) {
  return head_size * static_cast<int>(sizeof(E)) / 16;
}

/// q k over the lanes of a position; every lane of the warp calls it. is_whole: whether lanes are a power of
/// two within a warp and share the work, else the first has it all.
template <class E>
TWISTOR_DEVICE float dot(const float* q, const E* k, int size, int lane, int lanes, bool is_whole) {
  constexpr int together = 16 / static_cast<int>(sizeof(E));
  float sum = 0;
  if (!is_whole) {
    for (int i = 0; k != nullptr && lane == 0 && i < size; ++i) sum += q[i] * wide(k[i]);
    return sum;
  }
  if (k != nullptr) {
    const Pack<E> pack = *reinterpret_cast<const Pack<E>*>(k + lane * together);
    for (int j = 0; j < together; ++j) sum += q[lane * together + j] * wide(pack.of[j]);
  }
  for (int mask = lanes / 2; mask > 0; mask /= 2) sum += exchanged(sum, mask);
  return sum;
}

/// One head of one row. A position is read by neighbouring lanes, so that its bytes come at once. Shared: a
/// float a warp, the query, partial sums of the output, the weights of positions.
template <class E>
TWISTOR_KERNEL attend_head(AttendTask t) {
  constexpr int together = 16 / static_cast<int>(sizeof(E));
  const std::int64_t row = block_id() / t.n_heads;
  const int head = static_cast<int>(block_id() % t.n_heads), size = t.head_size,
            kv_head = head / (t.n_heads / t.n_kv_heads);
  const int position =
      (t.position_at != nullptr ? *t.position_at : t.position) + static_cast<int>(row % t.n_tokens);
  const int begin = t.window > 0 && position + 1 > t.window ? position + 1 - t.window : 0,
            n = position + 1 - begin;
  const std::int32_t* const blocks = t.table + row / t.n_tokens * t.blocks_each;
  const int lanes = lanes_of<E>(size), groups = thread_count() / lanes;
  const bool is_whole = lanes <= warp_size && (lanes & (lanes - 1)) == 0;
  const int group = thread_id() / lanes, lane = thread_id() % lanes;
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
  for (int first = 0; first < n; first += groups) {  // as often for every thread: they exchange
    const int i = first + group;
    const bool is_there = group < groups && i < n;
    const E* const k = is_there ? static_cast<const E*>(t.keys) + element(i) : nullptr;
    float score = dot(q, k, size, lane, lanes, is_whole);
    if (!is_there || lane != 0) continue;
    if (t.cap > 0) score = t.cap * tanhf(score / t.cap);
    weight[i] = score;
    top = score > top ? score : top;
  }
  top = over_block(top, scratch, Max{});
  float sum = 0;
  for (int i = thread_id(); i < n; i += thread_count()) sum += weight[i] = expf(weight[i] - top);
  sum = over_block(sum, scratch, Sum{});
  if (group < groups) {
    float sums[together] = {};
    for (int i = group; i < n; i += groups) {
      const Pack<E> pack =
          *reinterpret_cast<const Pack<E>*>(static_cast<const E*>(t.values) + element(i) + lane * together);
      for (int j = 0; j < together; ++j) sums[j] += weight[i] * wide(pack.of[j]);
    }
    for (int j = 0; j < together; ++j) partial[group * size + lane * together + j] = sums[j];
  }
  synchronise();
  for (int c = thread_id(); c < size; c += thread_count()) {
    float all = 0;
    for (int g = 0; g < groups; ++g) all += partial[g * size + c];
    write(t.out, (row * t.n_heads + head) * size + c, all / sum);
  }
}

}  // namespace
}  // namespace twistor::device::cuda
