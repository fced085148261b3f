// SPDX-License-Identifier: Apache-2.0
// Blocks are gathered into one tensor a layer; query heads that share a head of keys stand beside each other
// as if they were queries, so that no key is repeated.
#include "attention.hpp"

#include <ATen/ops/arange.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/softmax.h>

#include <algorithm>
#include <limits>

#include "kv_store.hpp"
#include "tensors.hpp"

namespace twistor::device {
namespace {

/// The gathered positions [begin, end) of a pass, for layers of one window.
struct Past {
  std::int64_t window = -1;
  std::int64_t first = 0;           // position that the first gathered block begins with
  std::int64_t begin = 0, end = 0;  // positions that some query sees
  at::Tensor blocks;                // (n * blocks) int64
  at::Tensor mask;                  // (L * group, end - begin) bool; undefined: all see all
};

class AtenAttention final : public AttentionPass {
 public:
  AtenAttention(const AttentionShape& shape, const KvRows& rows, at::Device device)
      : shape_(shape),
        rows_(rows),
        device_(device),
        store_(static_cast<AtenKvStore&>(*rows.store)),
        positions_(shape, rows, device) {}

  void run(const LayerAttention& layer, at::Tensor& qkv, at::Tensor& out) override {
    const std::int64_t n = rows_.n_sequences, L = rows_.n_tokens, size = shape_.head_size,
                       q_heads = shape_.n_heads, kv_heads = shape_.n_kv_heads;
    const at::Tensor heads = qkv.view({n, L, q_heads + 2 * kv_heads, size});
    if (layer.rotary != no_rotary) turn(heads.narrow(2, 0, q_heads + kv_heads), positions_.of(layer));
    store(layer.layer, heads.narrow(2, q_heads, kv_heads), heads.narrow(2, q_heads + kv_heads, kv_heads));
    const Past& past = past_of(layer.window);
    const std::int64_t group = q_heads / kv_heads;
    const at::Tensor keys = gather(store_.keys(layer.layer), past),
                     values = gather(store_.values(layer.layer), past);
    const at::Tensor q = heads.narrow(2, 0, q_heads)
                             .view({n, L, kv_heads, group, size})
                             .permute({0, 2, 1, 3, 4})
                             .reshape({n, kv_heads, L * group, size})
                             .to(keys.scalar_type());
    const at::Tensor sums = shape_.cap == 0 ? fused(q, keys, values, past, layer.scale)
                                            : capped(q, keys, values, past, layer.scale);
    out = sums.view({n, kv_heads, L, group, size}).permute({0, 2, 1, 3, 4}).reshape({n * L, q_heads * size});
  }

 private:
  [[nodiscard]] std::int32_t block(std::int64_t sequence, std::int64_t index) const {
    return rows_.table[static_cast<std::size_t>(sequence * rows_.blocks_each + index)];
  }

  /// x: (n, L, heads, head_size), in place.
  void turn(const at::Tensor& x, const PassPositions::Angles& angles) const {
    const std::int64_t pairs = angles.pairs;
    const at::Tensor cosine = angles.cosine.unsqueeze(1), sine = angles.sine.unsqueeze(1);  // of all heads
    const at::Tensor first = shape_.is_interleaved ? x.slice(3, 0, 2 * pairs, 2) : x.narrow(3, 0, pairs);
    const at::Tensor second = shape_.is_interleaved ? x.slice(3, 1, 2 * pairs, 2) : x.narrow(3, pairs, pairs);
    const at::Tensor a = at::mul(first, cosine).addcmul_(second, sine, -1);
    const at::Tensor b = at::mul(second, cosine).addcmul_(first, sine);
    first.copy_(a);
    second.copy_(b);
  }

  void store(std::int64_t layer, const at::Tensor& keys, const at::Tensor& values) {
    const auto write = [&](const at::Tensor& to, const at::Tensor& from) {
      to.view({-1, shape_.n_kv_heads, shape_.head_size})
          .index_copy_(
              0, positions_.slots,
              from.reshape({rows_.size(), shape_.n_kv_heads, shape_.head_size}).to(to.scalar_type()));
    };
    write(store_.keys(layer), keys);
    write(store_.values(layer), values);
  }

  const Past& past_of(std::int64_t window) {
    for (const Past& past : pasts_)
      if (past.window == window) return past;
    Past& past = pasts_.emplace_back();
    past.window = window;
    past.end = rows_.position + rows_.n_tokens;
    past.begin = window > 0 ? std::max<std::int64_t>(0, rows_.position + 1 - window) : 0;
    const std::int64_t first_block = past.begin / kv_block_tokens,
                       last_block = (past.end - 1) / kv_block_tokens;
    past.first = first_block * kv_block_tokens;
    std::vector<std::int32_t> blocks;
    for (std::int64_t i = 0; i < rows_.n_sequences; ++i)
      for (std::int64_t b = first_block; b <= last_block; ++b) blocks.push_back(block(i, b));
    past.blocks = index_tensor(blocks, device_);
    if (rows_.n_tokens > 1) past.mask = mask(past);
    return past;
  }

  /// Who sees what, (L * group, positions).
  [[nodiscard]] at::Tensor mask(const Past& past) const {
    const auto options = at::TensorOptions().dtype(at::kLong).device(device_);
    const std::int64_t group = shape_.n_heads / shape_.n_kv_heads, L = rows_.n_tokens;
    const at::Tensor key = at::arange(past.begin, past.end, options),
                     query = at::arange(rows_.position, past.end, options).unsqueeze(1);
    at::Tensor sees = key.le(query);
    if (past.window > 0) sees = sees.logical_and(key.gt(query.sub(past.window)));
    return sees.unsqueeze(1).expand({L, group, sees.size(1)}).reshape({L * group, sees.size(1)});
  }

  /// (n, n_kv_heads, positions, head_size) of (capacity, 16, n_kv_heads, head_size).
  [[nodiscard]] at::Tensor gather(const at::Tensor& blocks, const Past& past) const {
    return at::index_select(blocks, 0, past.blocks)
        .view({rows_.n_sequences, -1, shape_.n_kv_heads, shape_.head_size})
        .narrow(1, past.begin - past.first, past.end - past.begin)
        .transpose(1, 2);
  }

  static at::Tensor fused(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const Past& past,
                          float scale) {
    return at::scaled_dot_product_attention(
        q, k, v, past.mask.defined() ? std::optional(past.mask) : std::nullopt, 0.0, false, scale);
  }

  [[nodiscard]] at::Tensor capped(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                  const Past& past, float scale) const {
    at::Tensor x = at::matmul(q.to(at::kFloat), k.to(at::kFloat).transpose(2, 3));
    x = x.mul_(scale / shape_.cap).tanh_().mul_(shape_.cap);
    if (past.mask.defined()) x.masked_fill_(past.mask.logical_not(), -std::numeric_limits<float>::infinity());
    return at::matmul(at::softmax(x, -1), v.to(at::kFloat));
  }

  AttentionShape shape_;
  KvRows rows_;
  at::Device device_;
  AtenKvStore& store_;
  PassPositions positions_;
  std::vector<Past> pasts_;  // one a window
};

}  // namespace

std::unique_ptr<AttentionPass> begin_aten_attention(const AttentionShape& shape, const KvRows& rows,
                                                    at::Device device) {
  return std::make_unique<AtenAttention>(shape, rows, device);
}

}  // namespace twistor::device
