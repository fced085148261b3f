// SPDX-License-Identifier: Apache-2.0
// Blocks in tensors that double when they are full.
#include "kv_store.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cstring>

#include "tensors.hpp"

namespace twistor::device {

AtenKvStore::AtenKvStore(const KvShape& shape, at::Device device)
    : shape_(shape), device_(device), parts_(static_cast<std::size_t>(2 * shape.n_layers)) {}

void AtenKvStore::grow() {
  constexpr std::int64_t first_bytes = std::int64_t{16} << 20;
  const std::int64_t more = std::max({capacity_, first_bytes / block_bytes(), std::int64_t{1}});
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

void AtenKvStore::read(std::span<const std::int32_t> blocks, std::span<std::byte> out) const {
  if (blocks.empty()) return;
  const at::Tensor index = index_tensor(blocks, device_);
  std::vector<at::Tensor> rows;
  for (const at::Tensor& part : parts_) rows.push_back(at::index_select(part, 0, index));
  const at::Tensor host = at::stack(rows, 1).to(at::kCPU).contiguous();  // (blocks, 2 n_layers, ...)
  std::memcpy(out.data(), host.const_data_ptr(), host.nbytes());
}

void AtenKvStore::write(std::span<const std::int32_t> blocks, std::span<const std::byte> bytes) {
  if (blocks.empty()) return;
  at::Tensor host = at::empty({static_cast<std::int64_t>(blocks.size()), 2 * shape_.n_layers, kv_block_tokens,
                               shape_.n_kv_heads, shape_.head_size},
                              dtype());
  std::memcpy(host.mutable_data_ptr(), bytes.data(), host.nbytes());
  const at::Tensor rows = host.to(device_), index = index_tensor(blocks, device_);
  for (std::size_t i = 0; i < parts_.size(); ++i)
    parts_[i].index_copy_(0, index, rows.select(1, static_cast<std::int64_t>(i)));
}

}  // namespace twistor::device
