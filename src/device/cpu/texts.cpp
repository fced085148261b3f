// SPDX-License-Identifier: Apache-2.0
// Packs keys and values of whole texts for the kernel, and pools their rows.
#include "texts.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "twistor/device/kernels.hpp"

namespace twistor::device {
namespace {

/// What belongs to one text and head: keys and values, packed for the kernel, the scores of a few queries,
/// and what positions add to those of all.
struct HeadBuffers {
  std::vector<float> keys;    // (blocks, head_size, 16), zeros after the last key
  std::vector<float> values;  // (length, padded head_size)
  std::vector<float> scores;  // (queries_together, blocks * 16)
  std::vector<float> of_queries, of_keys,
      added;  // (length, 16 blocks of the table), twice; (length, blocks * 16)
};

std::int64_t key_blocks(std::int64_t n) {
  return (n + kv_block_tokens - 1) / kv_block_tokens;
}

/// Writes `n` keys of row stride `ld` as (blocks, size, 16).
void pack_keys(const float* keys, std::int64_t ld, std::int64_t n, std::int64_t size, float* out) {
  std::fill_n(out, key_blocks(n) * size * kv_block_tokens, 0.0f);
  for (std::int64_t i = 0; i < n; ++i) {
    float* const to = out + i / kv_block_tokens * size * kv_block_tokens + i % kv_block_tokens;
    for (std::int64_t d = 0; d < size; ++d) to[d * kv_block_tokens] = keys[i * ld + d];
  }
}

/// Fills the task's keys and values from the rows of qkv after task.q.
void pack_head(TextHeadTask& task, HeadBuffers& buffers) {
  const std::int64_t n_blocks = key_blocks(task.length);
  buffers.keys.resize(static_cast<std::size_t>(n_blocks * task.size * kv_block_tokens));
  buffers.values.assign(static_cast<std::size_t>(task.length * task.padded), 0.0f);
  buffers.scores.resize(static_cast<std::size_t>(queries_together * n_blocks * kv_block_tokens));
  pack_keys(task.q + task.ldout, task.ldq, task.length, task.size, buffers.keys.data());
  for (std::int64_t i = 0; i < task.length; ++i)
    std::copy_n(task.q + i * task.ldq + 2 * task.ldout, task.size, buffers.values.data() + i * task.padded);
  task.keys = buffers.keys.data();
  task.values = buffers.values.data();
  task.scores = buffers.scores.data();
}

/// The rows of a layer's tables that texts of up to `longest` tokens ask for, packed for the kernel by heads.
class PackedTables {
 public:
  PackedTables(const RelativePositions& positions, std::int64_t n_heads, std::int64_t longest)
      : row_of_(positions.row_of), first_(row_of(1 - longest)) {
    const std::int64_t n = row_of(longest - 1) + 1 - first_;
    for (const auto& [table, packed] :
         {std::pair{&positions.keys, &keys_}, std::pair{&positions.queries, &queries_}}) {
      if (!table->defined()) continue;
      const std::int64_t d = table->size(1);
      size_ = d / n_heads;
      head_stride_ = key_blocks(n) * size_ * kv_block_tokens;
      packed->resize(static_cast<std::size_t>(n_heads * head_stride_));
      for (std::int64_t h = 0; h < n_heads; ++h)
        pack_keys(table->const_data_ptr<float>() + first_ * d + h * size_, d, n, size_,
                  packed->data() + h * head_stride_);
    }
  }

  /// Gives the task what the distances of its text add to its scores.
  void add_to(TextHeadTask& task, std::int64_t head, HeadBuffers& buffers) const {
    const std::int64_t block = (row_of(1 - task.length) - first_) / kv_block_tokens;
    const std::int64_t n_blocks = (row_of(task.length - 1) - first_) / kv_block_tokens + 1 - block;
    const std::int64_t begin = first_ + block * kv_block_tokens, width = n_blocks * kv_block_tokens;
    const std::int64_t ld = key_blocks(task.length) * kv_block_tokens;
    buffers.added.assign(static_cast<std::size_t>(task.length * ld), 0.0f);
    const auto products = [&](const std::vector<float>& table, const float* rows, std::vector<float>& out) {
      out.resize(static_cast<std::size_t>(task.length * width));
      kernels().dot_text_head(rows, task.ldq, task.length, size_,
                              table.data() + head * head_stride_ + block * size_ * kv_block_tokens, n_blocks,
                              out.data());
    };
    if (!keys_.empty()) products(keys_, task.q, buffers.of_queries);
    if (!queries_.empty()) products(queries_, task.q + task.ldout, buffers.of_keys);
    for (std::int64_t q = 0; q < task.length; ++q) {
      float* const added = buffers.added.data() + q * ld;
      if (!keys_.empty())
        for (std::int64_t k = 0; k < task.length; ++k)
          added[k] += buffers.of_queries[static_cast<std::size_t>(q * width + row_of(q - k) - begin)];
      if (!queries_.empty())
        for (std::int64_t k = 0; k < task.length; ++k)
          added[k] += buffers.of_keys[static_cast<std::size_t>(k * width + row_of(q - k) - begin)];
    }
    task.added = buffers.added.data();
  }

 private:
  [[nodiscard]] std::int64_t row_of(std::int64_t distance) const {
    return row_of_[static_cast<std::size_t>(static_cast<std::int64_t>(row_of_.size() / 2) + distance)];
  }
  std::span<const std::int64_t> row_of_;
  std::int64_t first_, size_ = 0, head_stride_ = 0;
  std::vector<float> keys_, queries_;  // (heads, blocks, size, 16)
};

class CpuTexts final : public TextPass {
 public:
  explicit CpuTexts(std::span<const std::int64_t> begins) : begins_(begins.begin(), begins.end()) {}

  void attend(const TextAttention& shape, const at::Tensor& qkv, at::Tensor& out) override {
    const std::int64_t n_heads = shape.n_heads, d = qkv.size(1) / 3, size = d / n_heads;
    const float scale = 1.0f / std::sqrt(static_cast<float>(shape.n_terms * size));
    const float* const from = qkv.const_data_ptr<float>();
    float* const to = out.mutable_data_ptr<float>();
    std::optional<PackedTables> tables;
    if (shape.positions != nullptr && n_texts() > 0) {
      std::int64_t longest = 1;
      for (std::int64_t i = 0; i < n_texts(); ++i) longest = std::max(longest, begin_of(i + 1) - begin_of(i));
      tables.emplace(*shape.positions, n_heads, longest);
    }
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
            .padded = key_blocks(size) * kv_block_tokens,
            .scale = scale,
        };
        pack_head(task, buffers);
        if (tables) tables->add_to(task, h, buffers);
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
