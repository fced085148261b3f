// SPDX-License-Identifier: Apache-2.0
// One process at a time in a folder: a lock that the kernel takes away with its holder, however that ends.
#pragma once

#include <filesystem>
#include <string>

#include "twistor/base/descriptor.hpp"

namespace twistor {

/// Holds FOLDER/.lock, which names host, process and time for those who are refused. A file that a crash left
/// behind locks nothing. Processes that a holder starts do not inherit it. *Local*: one rank of a job holds
/// it for all.
class FolderLock {
 public:
  FolderLock() = default;
  /// Throws Error(config) saying who holds the folder, Error(io) if the file cannot be written there. Where
  /// the file system knows no locks, is_held() is false and problem() says why.
  explicit FolderLock(const std::filesystem::path& folder);
  FolderLock(FolderLock&&) = default;
  FolderLock& operator=(FolderLock&& other) noexcept;
  /// Removes the file.
  ~FolderLock();

  [[nodiscard]] bool is_held() const { return static_cast<bool>(file_); }
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  void release() noexcept;

  std::filesystem::path path_;
  Descriptor file_;
  std::string problem_;
};

}  // namespace twistor
