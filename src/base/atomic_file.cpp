// SPDX-License-Identifier: Apache-2.0
// Temporary name, fsync, rename, fsync of the folder.
#include "twistor/base/atomic_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <system_error>
#include <utility>

#include "twistor/base/error.hpp"

namespace twistor {
namespace {

namespace fs = std::filesystem;

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

std::string temporary_prefix(const fs::path& path) {
  return "." + path.filename().string() + ".tmp.";
}

/// Unique among living processes of any host: the clock tells apart equal process ids of two hosts or
/// containers.
fs::path temporary_name(const fs::path& path) {
  const auto now = std::chrono::system_clock::now().time_since_epoch().count();
  return folder_of(path) / fmt::format("{}{}.{:x}", temporary_prefix(path), ::getpid(), now);
}

bool is_in_use(const fs::path& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return fd && ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

void remove_leftovers(const fs::path& path) {
  std::error_code ignored;  // a leftover that cannot be removed costs space, not correctness
  const std::string prefix = temporary_prefix(path);
  for (fs::directory_iterator it(folder_of(path), ignored), end; !ignored && it != end;
       it.increment(ignored)) {
    if (!it->path().filename().string().starts_with(prefix)) continue;
    std::error_code error;
    if (!is_in_use(it->path())) fs::remove(it->path(), error);
  }
}

}  // namespace

fs::path previous_generation(const fs::path& path) {
  fs::path name = path.stem();
  name += ".previous";
  name += path.extension();
  return path.parent_path() / name;
}

AtomicFile::AtomicFile(fs::path path, std::string doing) : path_(std::move(path)), doing_(std::move(doing)) {
  remove_leftovers(path_);
  temporary_ = temporary_name(path_);
  descriptor_ = Descriptor(::open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!descriptor_) throw_io_error(doing_, fmt::format("cannot create {}", temporary_.string()), errno);
  // Where the file system knows no locks, leftovers are told by name alone; nothing else depends on the lock.
  [[maybe_unused]] const int locked = ::flock(descriptor_.get(), LOCK_EX | LOCK_NB);
}

AtomicFile::~AtomicFile() {
  if (descriptor_) ::unlink(temporary_.c_str());
}

void AtomicFile::publish(const PublishOptions& options) {
  if (options.durable && ::fsync(descriptor_.get()) != 0) {
    throw_io_error(doing_, "cannot bring the data to the disk", errno);
  }
  if (options.generations > 1) {
    keep_previous_and_rename();
  } else if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    throw_io_error(doing_, "cannot rename the temporary file", errno);
  }
  descriptor_.reset();
  if (options.durable) sync_folder();
}

void AtomicFile::keep_previous_and_rename() {
  // The old file gets a second name first, the new file replaces it, then the second name becomes "previous":
  // a kill between any two of these leaves the final name whole and the previous one as it was or as it shall
  // be.
  const fs::path previous = previous_generation(path_);
  const fs::path second_name = temporary_.string() + ".old";
  const bool linked = ::link(path_.c_str(), second_name.c_str()) == 0;
  if (!linked && errno != ENOENT && ::rename(path_.c_str(), previous.c_str()) != 0) {
    // Reached only where hard links are unknown; there the old file waits under the previous name instead.
    throw_io_error(doing_, "cannot keep the file that is replaced", errno);
  }
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int code = errno;
    if (linked) ::unlink(second_name.c_str());
    throw_io_error(doing_, "cannot rename the temporary file", code);
  }
  if (linked && ::rename(second_name.c_str(), previous.c_str()) != 0) {
    ::unlink(second_name.c_str());  // the new file is in place; only the older generation did not move on
  }
}

void AtomicFile::sync_folder() const {
  const Descriptor folder(::open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) throw_io_error(doing_, "cannot open the folder to make the new name durable", errno);
  // EINVAL: the file system has nothing to synchronise for folders.
  if (::fsync(folder.get()) != 0 && errno != EINVAL) {
    throw_io_error(doing_, "cannot make the new name durable", errno);
  }
}

void write_file_atomically(const fs::path& path, std::string_view text, const std::string& doing) {
  AtomicFile file(path, doing);
  if (const int code = write_fully(file.descriptor(), std::as_bytes(std::span(text)), 0); code != 0) {
    throw_io_error(doing, fmt::format("cannot write {} bytes", text.size()), code);
  }
  file.publish();
}

}  // namespace twistor
