// SPDX-License-Identifier: Apache-2.0
// Attention of all tokens of a text to one another. Private to the model room.
#pragma once

#include <cstdint>
#include <span>

namespace twistor::model {

struct TextAttentionOptions {
  std::int64_t n_heads = 0;
  std::int64_t head_size = 0;
};

/// out(rows, D) = softmax(q k^T / sqrt(head_size)) v within each text and head, D = n_heads * head_size. qkv:
/// (rows, 3 D), queries, keys, values side by side. begins: (n + 1) first rows of the texts. Texts and heads
/// run in parallel; each walks its keys in order.
void attend_texts(const float* qkv, std::span<const std::int64_t> begins, float* out,
                  const TextAttentionOptions& options);

}  // namespace twistor::model
