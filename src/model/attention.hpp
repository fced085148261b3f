// Causal attention of single query rows over block tables. Private to the model room.
#pragma once

#include <cstdint>

#include "twistor/model/kv_cache.hpp"

namespace twistor::model {

/// One query row: which sequence it belongs to and where it stands.
struct AttentionRow {
  std::int64_t sequence = 0;
  std::int64_t position = 0;
};

struct AttentionOptions {
  std::int64_t n_heads = 0;
  float scale = 1.0f;
  std::int64_t window = 0;  ///< positions seen back from the query, itself included; 0: all
  float cap = 0;            ///< scaled scores x become cap tanh(x / cap); 0: they stay
};

/// Writes keys and values of one row into its block. keys, values: (n_kv_heads * head_size).
void write_kv(const KvCache& cache, const AttentionRow& row, std::int64_t layer, const float* keys,
              const float* values);

/// out(n_heads * head_size) = softmax(q k^T * scale) v for each row; q has row stride ldq. Rows run in
/// parallel; each walks its blocks in order.
void attend(const KvCache& cache, std::int64_t layer, const AttentionRow* rows, std::int64_t n,
            const float* q, std::int64_t ldq, float* out, std::int64_t ldout,
            const AttentionOptions& options);

}  // namespace twistor::model
