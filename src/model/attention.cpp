// The attention kernel over block tables.
#include "attention.hpp"

#include <algorithm>
#include <limits>
#include <vector>

#include "simd.hpp"

namespace twistor::model {
namespace {

using simd::F16;

template <class E>
E stored(float x) {
  if constexpr (sizeof(E) == 4) {
    return x;
  } else {
    return simd::to_bf16(x);
  }
}

template <class E>
void write_row(E* block, const KvShape& shape, std::int64_t slot, const float* keys, const float* values) {
  const std::int64_t size = shape.head_size, padded = shape.padded_head_size();
  E* value_part = block + shape.n_kv_heads * shape.key_elements();
  for (std::int64_t h = 0; h < shape.n_kv_heads; ++h) {
    for (std::int64_t d = 0; d < size; ++d) {
      block[h * shape.key_elements() + d * block_tokens + slot] = stored<E>(keys[h * size + d]);
      value_part[h * shape.value_elements() + slot * padded + d] = stored<E>(values[h * size + d]);
    }
  }
}

/// One (row, head). `scores` has room for 16 numbers a block.
template <class E>
void attend_head(const KvCache& cache, std::int64_t layer, const AttentionRow& row, std::int64_t kv_head,
                 const float* q, float* out, const AttentionOptions& options, std::vector<float>& scores) {
  const KvShape& shape = cache.shape();
  const std::int64_t size = shape.head_size, padded = shape.padded_head_size();
  const std::int64_t begin =
      options.window > 0 ? std::max<std::int64_t>(0, row.position + 1 - options.window) : 0;
  const std::int64_t first = begin / block_tokens, last = row.position / block_tokens;
  constexpr float minus_infinity = -std::numeric_limits<float>::infinity();
  scores.resize(static_cast<std::size_t>((last - first + 1) * block_tokens));

  F16 top = simd::splat(minus_infinity);
  for (std::int64_t b = first; b <= last; ++b) {
    const auto* keys = reinterpret_cast<const E*>(cache.layer_block(row.sequence, b, layer)) +
                       kv_head * shape.key_elements();
    F16 dot{};
    for (std::int64_t d = 0; d < size; ++d)
      dot = simd::splat(q[d]) * simd::load(keys + d * block_tokens) + dot;
    dot *= options.scale;
    for (std::int64_t i = 0; i < block_tokens; ++i) {
      const std::int64_t position = b * block_tokens + i;
      if (position < begin || position > row.position) dot[i] = minus_infinity;
    }
    top = simd::max(dot, top);
    simd::store(scores.data() + (b - first) * block_tokens, dot);
  }
  const float shift = simd::max_lane(top);
  F16 total{};
  for (std::size_t i = 0; i < scores.size(); i += block_tokens) {
    const F16 e = simd::exp(simd::load(scores.data() + i) - shift);
    total += e;
    simd::store(scores.data() + i, e);
  }
  const float inverse = 1.0f / simd::sum(total);
  for (std::int64_t d = 0; d < size; d += simd::lanes) {
    F16 sum{};
    for (std::int64_t b = first; b <= last; ++b) {
      const auto* values = reinterpret_cast<const E*>(cache.layer_block(row.sequence, b, layer)) +
                           shape.n_kv_heads * shape.key_elements() + kv_head * shape.value_elements() + d;
      const float* weight = scores.data() + (b - first) * block_tokens;
      const std::int64_t count = std::min(block_tokens, row.position + 1 - b * block_tokens);
      for (std::int64_t i = 0; i < count; ++i)
        sum = simd::splat(weight[i]) * simd::load(values + i * padded) + sum;
    }
    simd::store_part(out + d, sum * inverse, std::min(simd::lanes, size - d));
  }
}

}  // namespace

void write_kv(const KvCache& cache, const AttentionRow& row, std::int64_t layer, const float* keys,
              const float* values) {
  std::byte* block = cache.layer_block(row.sequence, row.position / block_tokens, layer);
  const std::int64_t slot = row.position % block_tokens;
  if (cache.shape().precision == Precision::float32) {
    write_row(reinterpret_cast<float*>(block), cache.shape(), slot, keys, values);
  } else {
    write_row(reinterpret_cast<std::uint16_t*>(block), cache.shape(), slot, keys, values);
  }
}

void attend(const KvCache& cache, std::int64_t layer, const AttentionRow* rows, std::int64_t n,
            const float* q, std::int64_t ldq, float* out, std::int64_t ldout,
            const AttentionOptions& options) {
  const KvShape& shape = cache.shape();
  const std::int64_t heads = options.n_heads, group = heads / shape.n_kv_heads;
#pragma omp parallel if (n * heads > 16)
  {
    std::vector<float> scores;
#pragma omp for schedule(static)
    for (std::int64_t i = 0; i < n * heads; ++i) {
      const std::int64_t r = i / heads, h = i % heads;
      const float* query = q + r * ldq + h * shape.head_size;
      float* result = out + r * ldout + h * shape.head_size;
      if (shape.precision == Precision::float32) {
        attend_head<float>(cache, layer, rows[r], h / group, query, result, options, scores);
      } else {
        attend_head<std::uint16_t>(cache, layer, rows[r], h / group, query, result, options, scores);
      }
    }
  }
}

}  // namespace twistor::model
