// SPDX-License-Identifier: Apache-2.0
// The lock file of a folder.
#include "twistor/base/folder_lock.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <span>
#include <utility>

#include "twistor/base/error.hpp"

namespace twistor {
namespace {

std::string here_and_now() {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) std::strcpy(host.data(), "unknown");
  std::array<char, 32> time{};
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  std::strftime(time.data(), time.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return fmt::format("process {} on {} since {}", ::getpid(), host.data(), time.data());
}

std::string text_of(int fd) {
  std::array<char, 512> text{};
  const ssize_t n = ::pread(fd, text.data(), text.size(), 0);
  std::string out(text.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
  while (out.ends_with('\n')) out.pop_back();
  return out.empty() ? "a process that has not said its name yet" : out;
}

/// Whether the file that is open still bears its name: its last holder may have removed it meanwhile.
bool is_current(int fd, const std::filesystem::path& path) {
  struct stat opened {
  }, named{};
  return ::fstat(fd, &opened) == 0 && ::stat(path.c_str(), &named) == 0 && opened.st_ino == named.st_ino &&
         opened.st_dev == named.st_dev;
}

}  // namespace

FolderLock::FolderLock(const std::filesystem::path& folder) : path_(folder / ".lock") {
  const std::string doing = "locking the folder " + folder.string(), holder = take(doing);
  TWISTOR_CHECK(holder.empty(), ErrorKind::config, doing, "another run writes there: " + holder,
                "wait for it or end it, or choose another run.output");
}

std::optional<FolderLock> FolderLock::of_file(const std::filesystem::path& file) {
  FolderLock lock;
  lock.path_ = file.string() + ".lock";
  if (!lock.take("locking " + file.string()).empty()) return std::nullopt;
  return lock;
}

std::string FolderLock::holder_of(const std::filesystem::path& folder) {
  const Descriptor file(::open((folder / ".lock").c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return {};
  std::string text = text_of(file.get());
  int process = 0;
  std::array<char, 256> host{}, here{};
  if (std::sscanf(text.c_str(), "process %d on %255s since", &process, host.data()) != 2) return text;
  const bool is_here =
      ::gethostname(here.data(), here.size() - 1) == 0 && std::string_view(host.data()) == here.data();
  const bool has_ended = is_here && ::kill(process, 0) != 0 && errno == ESRCH;
  return has_ended ? std::string() : text;
}

std::string FolderLock::take(const std::string& doing) {
  for (;;) {
    Descriptor file(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    if (!file) throw_io_error(doing, "cannot open " + path_.string(), errno);
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      if (errno == EWOULDBLOCK) return text_of(file.get());
      problem_ = std::strerror(errno);
      return {};
    }
    if (!is_current(file.get(), path_)) continue;
    file_ = std::move(file);
    break;
  }
  const std::string holder = here_and_now() + "\n";
  int code = ::ftruncate(file_.get(), 0) == 0 ? 0 : errno;
  if (code == 0) code = write_fully(file_.get(), std::as_bytes(std::span(holder)), 0);
  if (code != 0) {
    release();
    throw_io_error(doing, "cannot write " + path_.string(), code);
  }
  return {};
}

FolderLock& FolderLock::operator=(FolderLock&& other) noexcept {
  if (this != &other) {
    release();
    path_ = std::move(other.path_);
    file_ = std::move(other.file_);
    problem_ = std::move(other.problem_);
  }
  return *this;
}

FolderLock::~FolderLock() {
  release();
}

void FolderLock::release() noexcept {
  // Removed while it is locked: whoever opened it before looks again whether it still bears its name.
  if (file_) ::unlink(path_.c_str());
  file_ = Descriptor();
}

}  // namespace twistor
