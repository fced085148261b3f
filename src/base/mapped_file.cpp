// SPDX-License-Identifier: Apache-2.0
// mmap behind a value.
#include "twistor/base/mapped_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/base/handle.hpp"

namespace twistor {
namespace {

struct DescriptorTraits {
  using type = int;
  static type null() noexcept { return -1; }
  static void close(type fd) noexcept { ::close(fd); }
};

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  const std::string doing = "opening " + path.string();
  const UniqueHandle<DescriptorTraits> fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  TWISTOR_CHECK(fd, ErrorKind::no_input, doing, std::strerror(errno), "check the path and its permissions");
  struct stat info {};
  TWISTOR_CHECK(::fstat(fd.get(), &info) == 0, ErrorKind::no_input, doing, std::strerror(errno));
  TWISTOR_CHECK(S_ISREG(info.st_mode), ErrorKind::data, doing, "expected a plain file, got something else");
  TWISTOR_CHECK(info.st_size > 0, ErrorKind::data, doing, "the file is empty",
                "the file was probably not downloaded or copied completely");
  const auto size = static_cast<std::size_t>(info.st_size);
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
  TWISTOR_CHECK(address != MAP_FAILED, ErrorKind::no_input, doing, std::strerror(errno));
  bytes_ = {static_cast<const std::byte*>(address), size};
  constexpr std::string_view lfs = "version https://git-lfs.github.com/spec/";
  constexpr std::size_t most_pointer_bytes = 1024;  // of the format
  if (size < most_pointer_bytes &&
      std::string_view(static_cast<const char*>(address), size).starts_with(lfs)) {
    ::munmap(address, size);
    throw Error(ErrorKind::data, doing, "the file is a Git LFS pointer: the contents were not downloaded",
                "run `git lfs pull` in its folder");
  }
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

}  // namespace twistor
