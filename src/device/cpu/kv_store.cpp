// SPDX-License-Identifier: Apache-2.0
// Blocks in slabs that grow from 64 KiB to 4 MiB.
#include "kv_store.hpp"

#include <algorithm>
#include <cstring>
#include <new>

namespace twistor::device {

void CpuKvStore::Free::operator()(std::byte* p) const noexcept {
  ::operator delete[](p, std::align_val_t{64});
}

void CpuKvStore::grow() {
  // A slab as large as all before it: little is wasted on a cache of a few tokens, and a large one has few.
  constexpr std::int64_t first_bytes = std::int64_t{64} << 10, most_bytes = std::int64_t{4} << 20;
  const std::int64_t size = std::max<std::int64_t>(
      1, std::clamp(capacity() * block_bytes(), first_bytes, most_bytes) / block_bytes());
  std::byte* const slab = slabs_
                              .emplace_back(static_cast<std::byte*>(::operator new[](
                                  static_cast<std::size_t>(size * block_bytes()), std::align_val_t{64})))
                              .get();
  for (std::int64_t i = 0; i < size; ++i) blocks_.push_back(slab + i * block_bytes());
}

void CpuKvStore::clear(std::span<const std::int32_t> blocks) {
  for (const std::int32_t block : blocks)
    std::memset(data(block), 0, static_cast<std::size_t>(block_bytes()));
}

void CpuKvStore::copy(std::span<const std::int32_t> from, std::span<const std::int32_t> to) {
  for (std::size_t i = 0; i < from.size(); ++i)
    std::memcpy(data(to[i]), data(from[i]), static_cast<std::size_t>(block_bytes()));
}

void CpuKvStore::read(std::span<const std::int32_t> blocks, std::span<std::byte> out) const {
  const auto size = static_cast<std::size_t>(block_bytes());
  for (std::size_t i = 0; i < blocks.size(); ++i) std::memcpy(out.data() + i * size, data(blocks[i]), size);
}

void CpuKvStore::write(std::span<const std::int32_t> blocks, std::span<const std::byte> bytes) {
  const auto size = static_cast<std::size_t>(block_bytes());
  for (std::size_t i = 0; i < blocks.size(); ++i) std::memcpy(data(blocks[i]), bytes.data() + i * size, size);
}

}  // namespace twistor::device
