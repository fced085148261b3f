// SPDX-License-Identifier: Apache-2.0
// CRC32C (Castagnoli), by the processor's own instruction where it has one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace twistor::store {

/// The CRC32C of RFC 3720, appendix B.4: crc32c("123456789") = 0xE3069283. `before` is the CRC of the bytes
/// that precede these, so a long text may be given in pieces. *Local.*
[[nodiscard]] std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t before = 0) noexcept;

}  // namespace twistor::store
