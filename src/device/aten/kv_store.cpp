// SPDX-License-Identifier: Apache-2.0
// Blocks in tensors that are made whole, or grow when they are full.
#include "kv_store.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "tensors.hpp"
#include "twistor/device/memory.hpp"

namespace twistor::device {

std::vector<at::Tensor> IdleBlocks::take(const KvShape& shape) {
  const std::lock_guard lock(mutex_);
  // The last that was put: those who take turns get the same ones again.
  const auto found =
      std::find_if(idle_.rbegin(), idle_.rend(), [&](const Parts& p) { return p.shape == shape; });
  if (found == idle_.rend()) return {};
  std::vector<at::Tensor> out = std::move(found->tensors);
  idle_.erase(std::next(found).base());
  return out;
}

void IdleBlocks::put(const KvShape& shape, std::vector<at::Tensor> parts) {
  const std::lock_guard lock(mutex_);
  if (idle_.size() == most) idle_.erase(idle_.begin());
  idle_.push_back({shape, std::move(parts)});
}

AtenKvStore::AtenKvStore(const KvShape& shape, at::Device device, std::shared_ptr<IdleBlocks> idle)
    : shape_(shape),
      device_(device),
      idle_(std::move(idle)),
      parts_(static_cast<std::size_t>(2 * shape.n_layers)) {}

AtenKvStore::~AtenKvStore() {
  if (capacity_ > 0) idle_->put(shape_, std::move(parts_));
}

std::int64_t AtenKvStore::more_blocks() const {
  constexpr std::int64_t first_bytes = std::int64_t{16} << 20,
                         at_once_without_device = std::int64_t{64} << 20;
  const std::int64_t missing = expected_ - capacity_;
  const std::int64_t doubled = std::max({capacity_, first_bytes / block_bytes(), std::int64_t{1}});
  if (expected_ == 0) return doubled;
  if (missing <= 0) return std::max(capacity_ / 4, std::int64_t{1});  // more than was expected
  const auto memory = memory_of(device_);
  const std::int64_t at_once = memory ? memory->free_bytes / 4 : at_once_without_device;
  return missing * block_bytes() <= at_once ? missing : std::min(missing, doubled);
}

void AtenKvStore::grow() {
  if (capacity_ == 0) {
    std::vector<at::Tensor> left = idle_->take(shape_);
    if (!left.empty()) {
      parts_ = std::move(left);
      capacity_ = parts_.front().size(0);
      return;
    }
  }
  const std::int64_t more = more_blocks();
  for (at::Tensor& part : parts_) {  // one after the other, so that only one is there twice
    at::Tensor larger = at::zeros({capacity_ + more, kv_block_tokens, shape_.n_kv_heads, shape_.head_size},
                                  at::TensorOptions().dtype(dtype()).device(device_));
    if (capacity_ > 0) larger.narrow(0, 0, capacity_).copy_(part);
    part = larger;
  }
  capacity_ += more;
}

void AtenKvStore::copy(std::span<const std::int32_t> from, std::span<const std::int32_t> to) {
  if (from.empty()) return;
  const at::Tensor source = index_tensor(from, device_), target = index_tensor(to, device_);
  for (at::Tensor& part : parts_) part.index_copy_(0, target, at::index_select(part, 0, source));
}

at::Tensor AtenKvStore::gather(std::span<const std::int32_t> blocks) const {
  const auto n = static_cast<std::int64_t>(blocks.size());
  if (n == 0) return at::empty({0, block_bytes()}, at::TensorOptions().dtype(at::kByte).device(device_));
  const at::Tensor index = index_tensor(blocks, device_);
  std::vector<at::Tensor> rows;
  for (const at::Tensor& part : parts_) rows.push_back(at::index_select(part, 0, index));
  return at::stack(rows, 1).view({n, -1}).view(at::kByte);  // each row: (2 n_layers, 16, heads, head_size)
}

void AtenKvStore::scatter(std::span<const std::int32_t> blocks, const at::Tensor& rows) {
  if (blocks.empty()) return;
  const at::Tensor index = index_tensor(blocks, device_);
  const at::Tensor parts =
      rows.view(dtype()).view({static_cast<std::int64_t>(blocks.size()), 2 * shape_.n_layers, kv_block_tokens,
                               shape_.n_kv_heads, shape_.head_size});
  for (std::size_t i = 0; i < parts_.size(); ++i)
    parts_[i].index_copy_(0, index, parts.select(1, static_cast<std::int64_t>(i)));
}

void AtenKvStore::read(std::span<const std::int32_t> blocks, std::span<std::byte> out) const {
  const at::Tensor host = gather(blocks).to(at::kCPU);
  std::memcpy(out.data(), host.const_data_ptr(), host.nbytes());
}

void AtenKvStore::write(std::span<const std::int32_t> blocks, std::span<const std::byte> bytes) {
  const at::Tensor host = at::empty({static_cast<std::int64_t>(blocks.size()), block_bytes()}, at::kByte);
  std::memcpy(host.mutable_data_ptr(), bytes.data(), host.nbytes());
  scatter(blocks, host.to(device_));
}

}  // namespace twistor::device
