// The attention kernel over block tables.
#include "attention.hpp"

#include <algorithm>
#include <limits>
#include <vector>

#include "simd.hpp"

namespace twistor::model {
namespace {

using simd::F16;

constexpr float minus_infinity = -std::numeric_limits<float>::infinity();
constexpr std::int64_t heads_together = 4;  // query heads that share one load of keys or values

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

/// One row's view of its past in one layer: positions [begin, end) and the blocks that hold them.
struct Past {
  std::int64_t begin = 0, end = 0;
  std::int64_t first = 0;                // number of the first block
  std::vector<const std::byte*> blocks;  // where they lie
};

/// What one thread keeps between heads.
struct Scratch {
  Past past, next;             // of the row at work, and of the one that comes next
  std::int64_t next_keys = 0;  // where in a block the keys lie that come next
  std::vector<float> scores;   // (heads_together, 16 past.blocks.size())
  float cap = 0;               // AttentionOptions::cap
};

/// Asks for `n` bytes that are needed soon: blocks lie scattered, and reading one takes less time than its
/// first byte takes to come.
TWISTOR_INLINE void fetch(const std::byte* from, std::int64_t n) {
  for (std::int64_t i = 0; i < n; i += 64) __builtin_prefetch(from + i, 0, 2);
}

/// scores[h][16 b ...] = q[h] . k for G heads and B neighbouring blocks: G * B chains at a time, because one
/// chain alone waits for its multiplier. Each chain runs over d in order. Meanwhile the values are fetched.
template <class E, int G, int B>
void dot_blocks(const std::byte* const* blocks, std::int64_t key_offset, std::int64_t value_offset,
                std::int64_t size, const float* q, float scale, float* scores, std::int64_t ld_scores) {
  const E *keys[B], *values[B];
  for (int b = 0; b < B; ++b) {
    keys[b] = reinterpret_cast<const E*>(blocks[b]) + key_offset;
    values[b] = reinterpret_cast<const E*>(blocks[b]) + value_offset;
  }
  F16 dot[G][B] = {};
  for (std::int64_t d = 0; d < size; ++d) {
    F16 k[B];
#pragma GCC unroll 4
    for (int b = 0; b < B; ++b) __builtin_prefetch(values[b] + d * block_tokens, 0, 2);
#pragma GCC unroll 4
    for (int b = 0; b < B; ++b) k[b] = simd::load(keys[b] + d * block_tokens);
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g) {
      const F16 x = simd::splat(q[g * size + d]);
#pragma GCC unroll 4
      for (int b = 0; b < B; ++b) dot[g][b] = x * k[b] + dot[g][b];
    }
  }
  for (int g = 0; g < G; ++g)
    for (int b = 0; b < B; ++b) simd::store(scores + g * ld_scores + b * block_tokens, dot[g][b] * scale);
}

/// Turns one head's scores, capped, into exp(score - max) and returns 1 / sum. Lanes outside the past get 0.
float soften(float* scores, const Past& past, float cap) {
  const auto n_blocks = static_cast<std::int64_t>(past.blocks.size());
  for (std::int64_t b = 0; cap > 0 && b < n_blocks; ++b)
    simd::store(scores + b * block_tokens, simd::soft_cap(simd::load(scores + b * block_tokens), cap));
  for (std::int64_t i = past.first * block_tokens; i < past.begin; ++i)
    scores[i - past.first * block_tokens] = minus_infinity;
  for (std::int64_t i = past.end; i < (past.first + n_blocks) * block_tokens; ++i)
    scores[i - past.first * block_tokens] = minus_infinity;
  F16 top = simd::splat(minus_infinity), total{};
  for (std::int64_t b = 0; b < n_blocks; ++b) top = simd::max(simd::load(scores + b * block_tokens), top);
  const float shift = simd::max_lane(top);
  for (std::int64_t b = 0; b < n_blocks; ++b) {
    const F16 e = simd::exp(simd::load(scores + b * block_tokens) - shift);
    total += e;
    simd::store(scores + b * block_tokens, e);
  }
  return 1.0f / simd::sum(total);
}

/// out[g][d ...] = inverse[g] sum_i weight[g][i] v[i][d ...] for S vectors of coordinates from d on; tokens
/// in order.
template <class E, int G, int S>
void weigh_values(const Scratch& scratch, std::int64_t value_offset, std::int64_t padded,
                  const float* inverse, std::int64_t size, std::int64_t d, float* out) {
  const Past& past = scratch.past;
  const auto ld = static_cast<std::int64_t>(past.blocks.size()) * block_tokens;
  constexpr auto bytes = static_cast<std::int64_t>(sizeof(E)) * block_tokens;
  F16 sum[G][S] = {};
  for (std::size_t b = 0; b < past.blocks.size(); ++b) {
    const E* values = reinterpret_cast<const E*>(past.blocks[b]) + value_offset + d;
    // This block's share of the keys that come next: those of the same coordinates.
    if (b < scratch.next.blocks.size())
      fetch(scratch.next.blocks[b] + scratch.next_keys + d * bytes, S * simd::lanes * bytes);
    const float* weight = scratch.scores.data() + b * static_cast<std::size_t>(block_tokens);
    const std::int64_t from = (past.first + static_cast<std::int64_t>(b)) * block_tokens;
    const std::int64_t count = std::min(block_tokens, past.end - from);
    for (std::int64_t i = 0; i < count; ++i) {
      F16 v[S];
#pragma GCC unroll 4
      for (int s = 0; s < S; ++s) v[s] = simd::load(values + i * padded + s * simd::lanes);
#pragma GCC unroll 4
      for (int g = 0; g < G; ++g) {
        const F16 w = simd::splat(weight[g * ld + i]);
#pragma GCC unroll 4
        for (int s = 0; s < S; ++s) sum[g][s] = w * v[s] + sum[g][s];
      }
    }
  }
  for (int g = 0; g < G; ++g)
    for (int s = 0; s < S; ++s)
      simd::store_part(out + g * size + d + s * simd::lanes, sum[g][s] * inverse[g],
                       std::min(simd::lanes, size - d - s * simd::lanes));
}

/// G neighbouring query heads of one row that share a head of keys and values.
template <class E, int G>
void attend_heads(const KvShape& shape, std::int64_t kv_head, float scale, const float* q, float* out,
                  Scratch& scratch) {
  const Past& past = scratch.past;
  const std::int64_t size = shape.head_size, padded = shape.padded_head_size();
  const auto n_blocks = static_cast<std::int64_t>(past.blocks.size());
  const std::int64_t ld = n_blocks * block_tokens, key_offset = kv_head * shape.key_elements();
  const std::int64_t value_offset =
      shape.n_kv_heads * shape.key_elements() + kv_head * shape.value_elements();
  scratch.scores.resize(static_cast<std::size_t>(G * ld));
  constexpr int together = G <= 2 ? 4 : 2;
  std::int64_t b = 0;
  for (; b + together <= n_blocks; b += together)
    dot_blocks<E, G, together>(past.blocks.data() + b, key_offset, value_offset, size, q, scale,
                               scratch.scores.data() + b * block_tokens, ld);
  for (; b < n_blocks; ++b)
    dot_blocks<E, G, 1>(past.blocks.data() + b, key_offset, value_offset, size, q, scale,
                        scratch.scores.data() + b * block_tokens, ld);
  float inverse[G];
  for (int g = 0; g < G; ++g) inverse[g] = soften(scratch.scores.data() + g * ld, past, scratch.cap);
  std::int64_t d = 0;
  for (; d + 4 * simd::lanes <= padded; d += 4 * simd::lanes)
    weigh_values<E, G, 4>(scratch, value_offset, padded, inverse, size, d, out);
  for (; d < padded; d += simd::lanes)
    weigh_values<E, G, 1>(scratch, value_offset, padded, inverse, size, d, out);
}

/// All query heads of one row that share `kv_head`, a few at a time.
template <class E>
void attend_group(const KvShape& shape, std::int64_t kv_head, std::int64_t group, float scale, const float* q,
                  float* out, Scratch& scratch) {
  for (std::int64_t g = 0; g < group; g += heads_together) {
    const std::int64_t first = (kv_head * group + g) * shape.head_size;
    const auto run = [&]<int G>() {
      attend_heads<E, G>(shape, kv_head, scale, q + first, out + first, scratch);
    };
    switch (std::min(heads_together, group - g)) {
      case 1:
        run.template operator()<1>();
        break;
      case 2:
        run.template operator()<2>();
        break;
      case 3:
        run.template operator()<3>();
        break;
      default:
        run.template operator()<4>();
    }
  }
}

void find_past(const KvCache& cache, std::int64_t layer, const AttentionRow& row, std::int64_t window,
               Past& past) {
  past.end = row.position + 1;
  past.begin = window > 0 ? std::max<std::int64_t>(0, past.end - window) : 0;
  past.first = past.begin / block_tokens;
  past.blocks.clear();
  for (std::int64_t b = past.first; b <= row.position / block_tokens; ++b)
    past.blocks.push_back(cache.layer_block(row.sequence, b, layer));
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
  const std::int64_t group = options.n_heads / shape.n_kv_heads, n_units = n * shape.n_kv_heads;
#pragma omp parallel if (n * options.n_heads > 16)
  {
    Scratch scratch;
    scratch.cap = options.cap;
    std::int64_t row_at_work = -1;
    // A unit is one row's heads of one head of keys; neighbours go to one thread, which fetches ahead.
#pragma omp for schedule(guided, 4)
    for (std::int64_t i = 0; i < n_units; ++i) {
      const std::int64_t r = i / shape.n_kv_heads, kv_head = i % shape.n_kv_heads;
      const std::int64_t next_row = (i + 1) / shape.n_kv_heads;
      if (r != row_at_work) find_past(cache, layer, rows[r], options.window, scratch.past);
      row_at_work = r;
      scratch.next.blocks.clear();
      if (next_row == r)
        scratch.next.blocks = scratch.past.blocks;
      else if (next_row < n)
        find_past(cache, layer, rows[next_row], options.window, scratch.next);
      scratch.next_keys = (i + 1) % shape.n_kv_heads * shape.key_elements() * shape.element_bytes();
      if (shape.precision == Precision::float32) {
        attend_group<float>(shape, kv_head, group, options.scale, q + r * ldq, out + r * ldout, scratch);
      } else {
        attend_group<std::uint16_t>(shape, kv_head, group, options.scale, q + r * ldq, out + r * ldout,
                                    scratch);
      }
    }
  }
}

}  // namespace twistor::model
