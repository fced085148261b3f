// SPDX-License-Identifier: Apache-2.0
// Packs keys and values of whole texts; the arithmetic is the device room's.
#include "encoder_attention.hpp"

#include <algorithm>
#include <vector>

#include "twistor/device/kernels.hpp"

namespace twistor::model {
namespace {

constexpr std::int64_t block = device::kv_block_tokens;

/// Keys and values of one text and head, packed for the kernel, and the scores of a few queries.
struct HeadBuffers {
  std::vector<float> keys;    // (blocks, head_size, 16), zeros after the last key
  std::vector<float> values;  // (length, padded head_size)
  std::vector<float> scores;  // (queries_together, blocks * 16)
};

/// Fills the task's keys and values from the rows of qkv after task.q.
void pack_head(device::TextHeadTask& task, HeadBuffers& buffers) {
  const std::int64_t n_blocks = (task.length + block - 1) / block;
  buffers.keys.assign(static_cast<std::size_t>(n_blocks * task.size * block), 0.0f);
  buffers.values.assign(static_cast<std::size_t>(task.length * task.padded), 0.0f);
  buffers.scores.resize(static_cast<std::size_t>(device::queries_together * n_blocks * block));
  for (std::int64_t i = 0; i < task.length; ++i) {
    const float* key = task.q + i * task.ldq + task.ldout;
    float* keys = buffers.keys.data() + i / block * task.size * block + i % block;
    for (std::int64_t d = 0; d < task.size; ++d) keys[d * block] = key[d];
    std::copy_n(key + task.ldout, task.size, buffers.values.data() + i * task.padded);
  }
  task.keys = buffers.keys.data();
  task.values = buffers.values.data();
  task.scores = buffers.scores.data();
}

}  // namespace

void attend_texts(const float* qkv, std::span<const std::int64_t> begins, float* out,
                  const TextAttentionOptions& options) {
  const std::int64_t n = static_cast<std::int64_t>(begins.size()) - 1;
  const std::int64_t size = options.head_size, d = options.n_heads * size;
#pragma omp parallel if (n * options.n_heads > 1)
  {
    HeadBuffers buffers;
#pragma omp for schedule(dynamic, 2)
    for (std::int64_t i = 0; i < n * options.n_heads; ++i) {
      const auto text = static_cast<std::size_t>(i / options.n_heads);
      const std::int64_t h = i % options.n_heads, begin = begins[text];
      device::TextHeadTask task{
          .q = qkv + begin * 3 * d + h * size,
          .out = out + begin * d + h * size,
          .ldq = 3 * d,
          .ldout = d,
          .length = begins[text + 1] - begin,
          .size = size,
          .padded = (size + block - 1) / block * block,
      };
      pack_head(task, buffers);
      device::kernels().attend_text_head(task);
    }
  }
}

}  // namespace twistor::model
