// SPDX-License-Identifier: Apache-2.0
// File descriptors, whole writes, and what to do about the errors of the system.
#include "twistor/base/descriptor.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "twistor/base/error.hpp"

namespace twistor {
namespace {

std::string hint_for(int code) {
  switch (code) {
    case ENOSPC:
    case EDQUOT:
      return "make room there, or let run.output point to a disk with more; files written earlier are "
             "untouched";
    case EFBIG:
      return "raise the limit on file sizes (ulimit -f); files written earlier are untouched";
    case ENOENT:
    case ENOTDIR:
      return "make the folder first, or let run.output point to one that exists";
    case EACCES:
    case EPERM:
    case EROFS:
      return "check who may write to that folder, or let run.output point to another";
    default:
      return "check the disk; files written earlier are untouched";
  }
}

}  // namespace

void DescriptorTraits::close(type fd) noexcept {
  ::close(fd);
}

void throw_io_error(const std::string& doing, const std::string& what, int code) {
  throw Error(ErrorKind::io, doing, fmt::format("{}: {}", what, std::strerror(code)), hint_for(code));
}

int write_fully(int fd, std::span<const std::byte> bytes, std::uint64_t offset) noexcept {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    if (n == 0) return ENOSPC;
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return 0;
}

}  // namespace twistor
