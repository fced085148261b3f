// SPDX-License-Identifier: Apache-2.0
// CRC32C by ISA-L.
#include "twistor/store/crc32c.hpp"

#include <isa-l/crc.h>

#include <algorithm>

namespace twistor::store {

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t before) noexcept {
  // ISA-L wants the register itself: it neither presets nor inverts, and its length is an int.
  constexpr std::size_t longest = std::size_t{1} << 30;
  std::uint32_t state = ~before;
  while (!bytes.empty()) {
    const auto piece = bytes.first(std::min(bytes.size(), longest));
    auto* data = const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(piece.data()));
    state = crc32_iscsi(data, static_cast<int>(piece.size()), state);
    bytes = bytes.subspan(piece.size());
  }
  return ~state;
}

}  // namespace twistor::store
