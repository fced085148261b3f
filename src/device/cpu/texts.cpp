// SPDX-License-Identifier: Apache-2.0
// Packs keys and values of whole texts for the kernel, and pools their rows.
#include "texts.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <vector>

#include "twistor/device/kernels.hpp"

namespace twistor::device {
namespace {

/// Keys and values of one text and head, packed for the kernel, and the scores of a few queries.
struct HeadBuffers {
  std::vector<float> keys;    // (blocks, head_size, 16), zeros after the last key
  std::vector<float> values;  // (length, padded head_size)
  std::vector<float> scores;  // (queries_together, blocks * 16)
};

/// Fills the task's keys and values from the rows of qkv after task.q.
void pack_head(TextHeadTask& task, HeadBuffers& buffers) {
  const std::int64_t n_blocks = (task.length + kv_block_tokens - 1) / kv_block_tokens;
  buffers.keys.assign(static_cast<std::size_t>(n_blocks * task.size * kv_block_tokens), 0.0f);
  buffers.values.assign(static_cast<std::size_t>(task.length * task.padded), 0.0f);
  buffers.scores.resize(static_cast<std::size_t>(queries_together * n_blocks * kv_block_tokens));
  for (std::int64_t i = 0; i < task.length; ++i) {
    const float* key = task.q + i * task.ldq + task.ldout;
    float* keys =
        buffers.keys.data() + i / kv_block_tokens * task.size * kv_block_tokens + i % kv_block_tokens;
    for (std::int64_t d = 0; d < task.size; ++d) keys[d * kv_block_tokens] = key[d];
    std::copy_n(key + task.ldout, task.size, buffers.values.data() + i * task.padded);
  }
  task.keys = buffers.keys.data();
  task.values = buffers.values.data();
  task.scores = buffers.scores.data();
}

class CpuTexts final : public TextPass {
 public:
  explicit CpuTexts(std::span<const std::int64_t> begins) : begins_(begins.begin(), begins.end()) {}

  void attend(std::int64_t n_heads, const at::Tensor& qkv, at::Tensor& out) override {
    const std::int64_t d = qkv.size(1) / 3, size = d / n_heads;
    const float* const from = qkv.const_data_ptr<float>();
    float* const to = out.mutable_data_ptr<float>();
#pragma omp parallel if (n_texts() * n_heads > 1)
    {
      HeadBuffers buffers;
#pragma omp for schedule(dynamic, 2)
      for (std::int64_t i = 0; i < n_texts() * n_heads; ++i) {
        const std::int64_t h = i % n_heads, begin = begin_of(i / n_heads);
        TextHeadTask task{
            .q = from + begin * 3 * d + h * size,
            .out = to + begin * d + h * size,
            .ldq = 3 * d,
            .ldout = d,
            .length = begin_of(i / n_heads + 1) - begin,
            .size = size,
            .padded = (size + kv_block_tokens - 1) / kv_block_tokens * kv_block_tokens,
        };
        pack_head(task, buffers);
        kernels().attend_text_head(task);
      }
    }
  }

  at::Tensor pool(Pooling how, const at::Tensor& x) const override {
    const std::int64_t d = x.size(1);
    at::Tensor out = at::empty({n_texts(), d}, at::kDouble);
    for (std::int64_t i = 0; i < n_texts(); ++i) {
      double* const to = out.mutable_data_ptr<double>() + i * d;
      const float* row = x.const_data_ptr<float>() + begin_of(i) * d;
      std::copy_n(row, d, to);
      const std::int64_t n = how == Pooling::first ? 1 : begin_of(i + 1) - begin_of(i);
      for (std::int64_t r = 1; r < n; ++r) {
        row += d;
        for (std::int64_t c = 0; c < d; ++c) {
          const auto value = static_cast<double>(row[c]);
          to[c] = how == Pooling::max ? std::max(to[c], value) : to[c] + value;
        }
      }
    }
    return out;
  }

 private:
  [[nodiscard]] std::int64_t n_texts() const {
    return static_cast<std::int64_t>(begins_.size()) - 1;
  }
  [[nodiscard]] std::int64_t begin_of(std::int64_t text) const {
    return begins_[static_cast<std::size_t>(text)];
  }
  std::vector<std::int64_t> begins_;
};

}  // namespace

std::unique_ptr<TextPass> begin_cpu_texts(std::span<const std::int64_t> begins) {
  return std::make_unique<CpuTexts>(begins);
}

}  // namespace twistor::device
