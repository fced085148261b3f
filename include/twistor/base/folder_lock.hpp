// SPDX-License-Identifier: Apache-2.0
// One process at a time in a folder, or at a file: a lock that the kernel takes away with its holder, however
// that ends.
#pragma once

#include <filesystem>
#include <optional>
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
  /// The same for one file, by FILE.lock beside it; nothing if another process holds it.
  [[nodiscard]] static std::optional<FolderLock> of_file(const std::filesystem::path& file);
  /// What the file in a folder says of who holds it; empty if there is none, or if it names a process of this
  /// host that has ended. Touches no lock, so it stands in nobody's way; where a holder on another host has
  /// crashed it is wrong.
  [[nodiscard]] static std::string holder_of(const std::filesystem::path& folder);
  FolderLock(FolderLock&&) = default;
  FolderLock& operator=(FolderLock&& other) noexcept;
  /// Removes the file.
  ~FolderLock();

  [[nodiscard]] bool is_held() const { return static_cast<bool>(file_); }
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  /// Takes the lock, or says who holds it.
  [[nodiscard]] std::string take(const std::string& doing);
  void release() noexcept;

  std::filesystem::path path_;
  Descriptor file_;
  std::string problem_;
};

}  // namespace twistor
