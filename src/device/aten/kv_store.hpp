// SPDX-License-Identifier: Apache-2.0
// Blocks in tensors. Private to the device room.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <mutex>
#include <vector>

#include "twistor/device/kernels.hpp"
#include "twistor/device/kv_store.hpp"

namespace twistor::device {

/// Memory of stores that are gone, for the next of the same shape: a sweep's cache then lies where the last
/// one lay, so that what was recorded with it is still good, and grows no more.
class IdleBlocks {
 public:
  /// Empty where there is none.
  [[nodiscard]] std::vector<at::Tensor> take(const KvShape& shape);
  void put(const KvShape& shape, std::vector<at::Tensor> parts);

 private:
  struct Parts {
    KvShape shape;
    std::vector<at::Tensor> tensors;
  };
  static constexpr std::size_t most = 2;
  std::mutex mutex_;
  std::vector<Parts> idle_;
};

/// Keys and values of each layer lie (capacity, 16, n_kv_heads, head_size).
class AtenKvStore final : public KvStore {
 public:
  AtenKvStore(const KvShape& shape, at::Device device, std::shared_ptr<IdleBlocks> idle);
  AtenKvStore(const AtenKvStore&) = delete;
  AtenKvStore& operator=(const AtenKvStore&) = delete;
  ~AtenKvStore() override;

  [[nodiscard]] const KvShape& shape() const override { return shape_; }
  [[nodiscard]] std::int64_t block_bytes() const override {
    return shape_.n_layers * 2 * layer_elements() * shape_.element_bytes();
  }
  [[nodiscard]] std::int64_t capacity() const override { return capacity_; }
  void expect(std::int64_t blocks) override { expected_ = blocks; }
  /// All at once where a quarter of the memory that is free holds what is expected; else by doubling, up to
  /// that, so that prefixes which are shared may need less.
  void grow() override;
  /// Nothing: memory starts at zero, and what was written since is finite.
  void clear(std::span<const std::int32_t>) override {}
  void copy(std::span<const std::int32_t> from, std::span<const std::int32_t> to) override;
  void read(std::span<const std::int32_t> blocks, std::span<std::byte> out) const override;
  void write(std::span<const std::int32_t> blocks, std::span<const std::byte> bytes) override;
  [[nodiscard]] at::Tensor gather(std::span<const std::int32_t> blocks) const override;
  void scatter(std::span<const std::int32_t> blocks, const at::Tensor& rows) override;

  [[nodiscard]] const at::Tensor& keys(std::int64_t layer) const { return parts_[part(layer)]; }
  [[nodiscard]] const at::Tensor& values(std::int64_t layer) const { return parts_[part(layer) + 1]; }

 private:
  static std::size_t part(std::int64_t layer) { return 2 * static_cast<std::size_t>(layer); }
  [[nodiscard]] std::int64_t layer_elements() const {
    return kv_block_tokens * shape_.n_kv_heads * shape_.head_size;
  }
  [[nodiscard]] at::ScalarType dtype() const {
    return shape_.precision == Precision::float32 ? at::kFloat : at::kBFloat16;
  }

  KvShape shape_;
  at::Device device_;
  std::shared_ptr<IdleBlocks> idle_;
  [[nodiscard]] std::int64_t more_blocks() const;

  std::int64_t capacity_ = 0;
  std::int64_t expected_ = 0;
  std::vector<at::Tensor> parts_;  // keys and values of layer 0, of layer 1, ...
};

}  // namespace twistor::device
