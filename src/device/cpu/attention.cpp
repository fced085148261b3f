// SPDX-License-Identifier: Apache-2.0
// Which rows attend over which blocks, on which thread; the arithmetic is the kernels'.
#include "attention.hpp"

#include <algorithm>
#include <vector>

#include "kv_store.hpp"
#include "twistor/base/bfloat16.hpp"
#include "twistor/device/kernels.hpp"
#include "twistor/device/row_kernels.hpp"

namespace twistor::device {
namespace {

void store_element(float x, float& out) {
  out = x;
}
void store_element(float x, std::uint16_t& out) {
  out = to_bfloat16(x);
}

template <class E>
void write_row(E* block, const CpuKvStore& store, std::int64_t slot, const float* keys, const float* values) {
  const std::int64_t size = store.shape().head_size, padded = store.padded_head_size();
  E* value_part = block + store.shape().n_kv_heads * store.key_elements();
  for (std::int64_t h = 0; h < store.shape().n_kv_heads; ++h) {
    for (std::int64_t d = 0; d < size; ++d) {
      store_element(keys[h * size + d], block[h * store.key_elements() + d * kv_block_tokens + slot]);
      store_element(values[h * size + d], value_part[h * store.value_elements() + slot * padded + d]);
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
  Past past, next;            // of the row at work, and of the one that comes next
  std::vector<float> scores;  // (heads_together, 16 past.blocks.size())
};

class CpuAttention final : public AttentionPass {
 public:
  CpuAttention(const AttentionShape& shape, const KvRows& rows)
      : shape_(shape), rows_(rows), store_(static_cast<const CpuKvStore&>(*rows.store)) {
    if (shape_.rotaries.empty()) return;
    std::vector<std::int64_t> positions;
    for (std::int64_t j = 0; j < rows.n_tokens; ++j) positions.push_back(rows.position + j);
    for (const Rotary& rotary : shape_.rotaries)
      angles_.emplace_back(rotary.frequencies, rotary.magnitude, positions);
  }

  void run(const LayerAttention& layer, at::Tensor& qkv, at::Tensor& out) override {
    const std::int64_t width = shape_.qkv_width(), n = rows_.size();
#pragma omp parallel for schedule(static) if (n * width > 20000)
    for (std::int64_t r = 0; r < n; ++r) turn_and_store(layer, r, qkv.mutable_data_ptr<float>() + r * width);
    attend(layer, qkv.const_data_ptr<float>(), out.mutable_data_ptr<float>());
  }

 private:
  [[nodiscard]] std::int64_t position_of(std::int64_t row) const {
    return rows_.position + row % rows_.n_tokens;
  }
  [[nodiscard]] std::byte* block_of(std::int64_t row, std::int64_t block, std::int64_t layer) const {
    const std::int64_t sequence = row / rows_.n_tokens;
    return store_.layer_block(rows_.table[static_cast<std::size_t>(sequence * rows_.blocks_each + block)],
                              layer);
  }

  void turn_and_store(const LayerAttention& layer, std::int64_t r, float* row) const {
    const std::int64_t size = shape_.head_size, position = position_of(r);
    if (layer.rotary != no_rotary)
      for (std::int64_t h = 0; h < shape_.n_heads + shape_.n_kv_heads; ++h)
        rows::rotate(row + h * size, angles_[static_cast<std::size_t>(layer.rotary)], r % rows_.n_tokens,
                     shape_.is_interleaved);
    const float* keys = row + shape_.n_heads * size;
    const float* values = keys + shape_.n_kv_heads * size;
    std::byte* block = block_of(r, position / kv_block_tokens, layer.layer);
    const std::int64_t slot = position % kv_block_tokens;
    if (store_.shape().precision == Precision::float32) {
      write_row(reinterpret_cast<float*>(block), store_, slot, keys, values);
    } else {
      write_row(reinterpret_cast<std::uint16_t*>(block), store_, slot, keys, values);
    }
  }

  void find_past(const LayerAttention& layer, std::int64_t row, Past& past) const {
    const std::int64_t position = position_of(row);
    past.end = position + 1;
    past.begin = layer.window > 0 ? std::max<std::int64_t>(0, past.end - layer.window) : 0;
    past.first = past.begin / kv_block_tokens;
    past.blocks.clear();
    for (std::int64_t b = past.first; b <= position / kv_block_tokens; ++b)
      past.blocks.push_back(block_of(row, b, layer.layer));
  }

  void attend(const LayerAttention& layer, const float* q, float* out) const {
    const std::int64_t n = rows_.size(), n_kv_heads = shape_.n_kv_heads, n_units = n * n_kv_heads,
                       width = shape_.qkv_width(), width_out = shape_.n_heads * shape_.head_size;
#pragma omp parallel if (n * shape_.n_heads > 16)
    {
      Scratch scratch;
      std::int64_t row_at_work = -1;
      // A unit is one row's heads of one head of keys; neighbours go to one thread, which fetches ahead.
#pragma omp for schedule(guided, 4)
      for (std::int64_t i = 0; i < n_units; ++i) {
        const std::int64_t r = i / n_kv_heads, next_row = (i + 1) / n_kv_heads;
        if (r != row_at_work) find_past(layer, r, scratch.past);
        row_at_work = r;
        scratch.next.blocks.clear();
        if (next_row == r)
          scratch.next.blocks = scratch.past.blocks;
        else if (next_row < n)
          find_past(layer, next_row, scratch.next);
        attend_group(layer, i % n_kv_heads, (i + 1) % n_kv_heads, q + r * width, out + r * width_out,
                     scratch);
      }
    }
  }

  /// All query heads of one row that share `kv_head`, a few at a time. next_kv_head: the one that comes next.
  void attend_group(const LayerAttention& layer, std::int64_t kv_head, std::int64_t next_kv_head,
                    const float* q, float* out, Scratch& scratch) const {
    const Past& past = scratch.past;
    const auto n_blocks = static_cast<std::int64_t>(past.blocks.size());
    scratch.scores.resize(static_cast<std::size_t>(heads_together * n_blocks * kv_block_tokens));
    HeadsTask task{
        .head_size = shape_.head_size,
        .padded = store_.padded_head_size(),
        .is_bfloat16 = store_.shape().precision == Precision::bfloat16,
        .blocks = past.blocks.data(),
        .n_blocks = n_blocks,
        .first_block = past.first,
        .begin = past.begin,
        .end = past.end,
        .key_offset = kv_head * store_.key_elements(),
        .value_offset = shape_.n_kv_heads * store_.key_elements() + kv_head * store_.value_elements(),
        .next_blocks = scratch.next.blocks.data(),
        .n_next = static_cast<std::int64_t>(scratch.next.blocks.size()),
        .next_keys = next_kv_head * store_.key_elements() * store_.shape().element_bytes(),
        .scale = layer.scale,
        .cap = shape_.cap,
        .scores = scratch.scores.data(),
    };
    const std::int64_t group = shape_.n_heads / shape_.n_kv_heads;
    for (std::int64_t g = 0; g < group; g += heads_together) {
      const std::int64_t first = (kv_head * group + g) * shape_.head_size;
      task.q = q + first;
      task.out = out + first;
      task.n_heads = std::min(heads_together, group - g);
      kernels().attend_heads(task);
    }
  }

  AttentionShape shape_;
  KvRows rows_;
  const CpuKvStore& store_;
  std::vector<rows::RotaryRows> angles_;  // one row a position
};

}  // namespace

std::unique_ptr<AttentionPass> begin_cpu_attention(const AttentionShape& shape, const KvRows& rows) {
  return std::make_unique<CpuAttention>(shape, rows);
}

}  // namespace twistor::device
