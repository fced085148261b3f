// SPDX-License-Identifier: Apache-2.0
// A file mapped read-only into memory; processes of one node that map the same file share its pages.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace twistor {

/// Move-only. Throws Error(no_input) if the file cannot be opened, Error(data) if it is empty, no plain file,
/// or a pointer of Git LFS in the place of a file.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
  std::span<const std::byte> bytes_;
};

}  // namespace twistor
