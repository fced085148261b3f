// Which rows attend over which blocks, on which thread; the arithmetic is the device room's.
#include "attention.hpp"

#include <algorithm>
#include <vector>

#include "twistor/base/bfloat16.hpp"
#include "twistor/device/kernels.hpp"

namespace twistor::model {
namespace {

static_assert(block_tokens == device::kv_block_tokens);

void store_element(float x, float& out) {
  out = x;
}
void store_element(float x, std::uint16_t& out) {
  out = to_bfloat16(x);
}

template <class E>
void write_row(E* block, const KvShape& shape, std::int64_t slot, const float* keys, const float* values) {
  const std::int64_t size = shape.head_size, padded = shape.padded_head_size();
  E* value_part = block + shape.n_kv_heads * shape.key_elements();
  for (std::int64_t h = 0; h < shape.n_kv_heads; ++h) {
    for (std::int64_t d = 0; d < size; ++d) {
      store_element(keys[h * size + d], block[h * shape.key_elements() + d * block_tokens + slot]);
      store_element(values[h * size + d], value_part[h * shape.value_elements() + slot * padded + d]);
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

void find_past(const KvCache& cache, std::int64_t layer, const AttentionRow& row, std::int64_t window,
               Past& past) {
  past.end = row.position + 1;
  past.begin = window > 0 ? std::max<std::int64_t>(0, past.end - window) : 0;
  past.first = past.begin / block_tokens;
  past.blocks.clear();
  for (std::int64_t b = past.first; b <= row.position / block_tokens; ++b)
    past.blocks.push_back(cache.layer_block(row.sequence, b, layer));
}

/// All query heads of one row that share `kv_head`, a few at a time. next_kv_head: the one that comes next.
void attend_group(const KvShape& shape, std::int64_t kv_head, std::int64_t next_kv_head,
                  const AttentionOptions& options, const float* q, float* out, Scratch& scratch) {
  const Past& past = scratch.past;
  const auto n_blocks = static_cast<std::int64_t>(past.blocks.size());
  scratch.scores.resize(static_cast<std::size_t>(device::heads_together * n_blocks * block_tokens));
  device::HeadsTask task{
      .head_size = shape.head_size,
      .padded = shape.padded_head_size(),
      .is_bfloat16 = shape.precision == device::Precision::bfloat16,
      .blocks = past.blocks.data(),
      .n_blocks = n_blocks,
      .first_block = past.first,
      .begin = past.begin,
      .end = past.end,
      .key_offset = kv_head * shape.key_elements(),
      .value_offset = shape.n_kv_heads * shape.key_elements() + kv_head * shape.value_elements(),
      .next_blocks = scratch.next.blocks.data(),
      .n_next = static_cast<std::int64_t>(scratch.next.blocks.size()),
      .next_keys = next_kv_head * shape.key_elements() * shape.element_bytes(),
      .scale = options.scale,
      .cap = options.cap,
      .scores = scratch.scores.data(),
  };
  const std::int64_t group = options.n_heads / shape.n_kv_heads;
  for (std::int64_t g = 0; g < group; g += device::heads_together) {
    const std::int64_t first = (kv_head * group + g) * shape.head_size;
    task.q = q + first;
    task.out = out + first;
    task.n_heads = std::min(device::heads_together, group - g);
    device::kernels().attend_heads(task);
  }
}

}  // namespace

void write_kv(const KvCache& cache, const AttentionRow& row, std::int64_t layer, const float* keys,
              const float* values) {
  std::byte* block = cache.layer_block(row.sequence, row.position / block_tokens, layer);
  const std::int64_t slot = row.position % block_tokens;
  if (cache.shape().precision == device::Precision::float32) {
    write_row(reinterpret_cast<float*>(block), cache.shape(), slot, keys, values);
  } else {
    write_row(reinterpret_cast<std::uint16_t*>(block), cache.shape(), slot, keys, values);
  }
}

void attend(const KvCache& cache, std::int64_t layer, const AttentionRow* rows, std::int64_t n,
            const float* q, std::int64_t ldq, float* out, std::int64_t ldout,
            const AttentionOptions& options) {
  const KvShape& shape = cache.shape();
  const std::int64_t n_units = n * shape.n_kv_heads;
#pragma omp parallel if (n * options.n_heads > 16)
  {
    Scratch scratch;
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
      attend_group(shape, kv_head, (i + 1) % shape.n_kv_heads, options, q + r * ldq, out + r * ldout,
                   scratch);
    }
  }
}

}  // namespace twistor::model
