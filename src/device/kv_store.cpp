// SPDX-License-Identifier: Apache-2.0
// Blocks as tensors of stores that keep them in main memory.
#include "twistor/device/kv_store.hpp"

#include <ATen/ops/empty.h>

namespace twistor::device {

at::Tensor KvStore::gather(std::span<const std::int32_t> blocks) const {
  at::Tensor out = at::empty({static_cast<std::int64_t>(blocks.size()), block_bytes()}, at::kByte);
  read(blocks, {static_cast<std::byte*>(out.mutable_data_ptr()), out.nbytes()});
  return out;
}

void KvStore::scatter(std::span<const std::int32_t> blocks, const at::Tensor& rows) {
  write(blocks, {static_cast<const std::byte*>(rows.const_data_ptr()), rows.nbytes()});
}

}  // namespace twistor::device
