// SPDX-License-Identifier: Apache-2.0
// Appending to a file.
#include "twistor/base/append_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace twistor {

AppendFile::AppendFile(std::filesystem::path path)
    : path_(std::move(path)),
      descriptor_(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666)) {
  if (!descriptor_) throw_io_error("opening " + path_.string(), "cannot append", errno);
}

void AppendFile::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(descriptor_.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_io_error("writing " + path_.string(), "cannot append", errno);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

}  // namespace twistor
