// SPDX-License-Identifier: Apache-2.0
// Blocks in main memory. Private to the device room.
#pragma once

#include <memory>
#include <vector>

#include "twistor/device/kernels.hpp"
#include "twistor/device/kv_store.hpp"

namespace twistor::device {

/// Of a layer's block come the keys of all heads, then the values of all heads. Keys lie transposed,
/// (head_size, 16), so that one vector holds 16 tokens of one coordinate; values lie (16, padded_head_size).
class CpuKvStore final : public KvStore {
 public:
  explicit CpuKvStore(const KvShape& shape) : shape_(shape) {}

  [[nodiscard]] const KvShape& shape() const override { return shape_; }
  [[nodiscard]] std::int64_t block_bytes() const override {
    return shape_.n_layers * layer_elements() * shape_.element_bytes();
  }
  [[nodiscard]] std::int64_t capacity() const override { return static_cast<std::int64_t>(blocks_.size()); }
  void grow() override;
  void clear(std::span<const std::int32_t> blocks) override;
  void copy(std::span<const std::int32_t> from, std::span<const std::int32_t> to) override;
  void read(std::span<const std::int32_t> blocks, std::span<std::byte> out) const override;
  void write(std::span<const std::int32_t> blocks, std::span<const std::byte> bytes) override;

  [[nodiscard]] std::int64_t padded_head_size() const { return (shape_.head_size + 15) / 16 * 16; }
  [[nodiscard]] std::int64_t key_elements() const { return shape_.head_size * kv_block_tokens; }
  [[nodiscard]] std::int64_t value_elements() const { return padded_head_size() * kv_block_tokens; }
  [[nodiscard]] std::int64_t layer_elements() const {
    return shape_.n_kv_heads * (key_elements() + value_elements());
  }
  /// Where a block's part of one layer begins.
  [[nodiscard]] std::byte* layer_block(std::int32_t block, std::int64_t layer) const {
    return data(block) + layer * layer_elements() * shape_.element_bytes();
  }

 private:
  struct Free {
    void operator()(std::byte* p) const noexcept;
  };
  [[nodiscard]] std::byte* data(std::int32_t block) const { return blocks_[static_cast<std::size_t>(block)]; }

  KvShape shape_;
  std::vector<std::unique_ptr<std::byte[], Free>> slabs_;
  std::vector<std::byte*> blocks_;  // where each lies in its slab
};

}  // namespace twistor::device
