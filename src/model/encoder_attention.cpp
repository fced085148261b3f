// The attention kernel over whole texts: four queries at a time against blocks of sixteen keys.
#include "encoder_attention.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "simd.hpp"

namespace twistor::model {
namespace {

using simd::F16;
using simd::lanes;

constexpr std::int64_t queries_at_once = 4;

/// Keys and values of one text and head, packed for the lanes, and the scores of a few queries.
struct HeadBuffers {
  std::vector<float> keys;    // (blocks, head_size, 16), zeros behind the last key
  std::vector<float> values;  // (length, padded head_size)
  std::vector<float> scores;  // (queries_at_once, blocks * 16)
};

struct Head {
  const float* q;  // rows of stride 3 D
  float* out;      // rows of stride D
  std::int64_t stride, length, size, padded, blocks;
};

void pack_head(const Head& head, HeadBuffers& buffers) {
  const std::int64_t width = head.stride / 3;
  buffers.keys.assign(static_cast<std::size_t>(head.blocks * head.size * lanes), 0.0f);
  buffers.values.assign(static_cast<std::size_t>(head.length * head.padded), 0.0f);
  buffers.scores.resize(static_cast<std::size_t>(queries_at_once * head.blocks * lanes));
  for (std::int64_t i = 0; i < head.length; ++i) {
    const float* key = head.q + i * head.stride + width;
    float* block = buffers.keys.data() + i / lanes * head.size * lanes + i % lanes;
    for (std::int64_t d = 0; d < head.size; ++d) block[d * lanes] = key[d];
    std::copy_n(key + width, head.size, buffers.values.data() + i * head.padded);
  }
}

/// R query rows from `row` on. The chain of each output is the same for every R.
template <int R>
void attend_rows(const Head& head, std::int64_t row, HeadBuffers& buffers) {
  const float scale = 1.0f / std::sqrt(static_cast<float>(head.size));
  const std::int64_t row_scores = head.blocks * lanes;
  const float* q = head.q + row * head.stride;
  float* scores = buffers.scores.data();
  F16 top[R], total[R];
  for (int r = 0; r < R; ++r) top[r] = simd::splat(-std::numeric_limits<float>::infinity());
  for (std::int64_t b = 0; b < head.blocks; ++b) {
    const float* keys = buffers.keys.data() + b * head.size * lanes;
    F16 dot[R] = {};
    for (std::int64_t d = 0; d < head.size; ++d) {
      const F16 key = simd::load(keys + d * lanes);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) dot[r] = simd::splat(q[r * head.stride + d]) * key + dot[r];
    }
    for (int r = 0; r < R; ++r) {
      dot[r] *= scale;
      for (std::int64_t i = head.length - b * lanes; i < lanes; ++i)
        dot[r][i] = -std::numeric_limits<float>::infinity();
      top[r] = simd::max(dot[r], top[r]);
      simd::store(scores + r * row_scores + b * lanes, dot[r]);
    }
  }
  for (int r = 0; r < R; ++r) {
    const float shift = simd::max_lane(top[r]);
    total[r] = F16{};
    for (float* s = scores + r * row_scores; s < scores + (r + 1) * row_scores; s += lanes) {
      const F16 e = simd::exp(simd::load(s) - shift);
      total[r] += e;
      simd::store(s, e);
    }
  }
  for (std::int64_t d = 0; d < head.size; d += lanes) {
    F16 sum[R] = {};
    for (std::int64_t i = 0; i < head.length; ++i) {
      const F16 value = simd::load(buffers.values.data() + i * head.padded + d);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) sum[r] = simd::splat(scores[r * row_scores + i]) * value + sum[r];
    }
    for (int r = 0; r < R; ++r)
      simd::store_part(head.out + (row + r) * (head.stride / 3) + d, sum[r] * (1.0f / simd::sum(total[r])),
                       std::min(lanes, head.size - d));
  }
}

void attend_head(const Head& head, HeadBuffers& buffers) {
  pack_head(head, buffers);
  std::int64_t row = 0;
  for (; row + queries_at_once <= head.length; row += queries_at_once)
    attend_rows<queries_at_once>(head, row, buffers);
  for (; row < head.length; ++row) attend_rows<1>(head, row, buffers);
}

}  // namespace

void attend_texts(const float* qkv, std::span<const std::int64_t> begins, float* out,
                  const TextAttentionOptions& options) {
  const std::int64_t n = static_cast<std::int64_t>(begins.size()) - 1;
  const std::int64_t size = options.head_size, d = options.n_heads * size;
  const std::int64_t padded = (size + lanes - 1) / lanes * lanes;
#pragma omp parallel if (n * options.n_heads > 1)
  {
    HeadBuffers buffers;
#pragma omp for schedule(dynamic, 2)
    for (std::int64_t i = 0; i < n * options.n_heads; ++i) {
      const auto text = static_cast<std::size_t>(i / options.n_heads);
      const std::int64_t h = i % options.n_heads, begin = begins[text], length = begins[text + 1] - begin;
      attend_head({qkv + begin * 3 * d + h * size, out + begin * d + h * size, 3 * d, length, size, padded,
                   (length + lanes - 1) / lanes},
                  buffers);
    }
  }
}

}  // namespace twistor::model
