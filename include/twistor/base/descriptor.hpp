// SPDX-License-Identifier: Apache-2.0
// File descriptors that close themselves, whole writes, and errors of the system with a hint.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "twistor/base/handle.hpp"

namespace twistor {

struct DescriptorTraits {
  using type = int;
  static type null() noexcept { return -1; }
  static void close(type fd) noexcept;
};
using Descriptor = UniqueHandle<DescriptorTraits>;

/// Throws Error(io) about errno value `code`, with what to do about a full disk, missing folder or missing
/// right.
[[noreturn]] void throw_io_error(const std::string& doing, const std::string& what, int code);

/// Writes all bytes at the offset. Returns 0 or the errno of the write that failed.
[[nodiscard]] int write_fully(int fd, std::span<const std::byte> bytes, std::uint64_t offset) noexcept;

}  // namespace twistor
