// SPDX-License-Identifier: Apache-2.0
// Files that grow while a run goes on.
#pragma once

#include <filesystem>
#include <string_view>

#include "twistor/base/descriptor.hpp"

namespace twistor {

/// Whatever is appended is in the file when append() returns. *Local.*
class AppendFile {
 public:
  AppendFile() = default;
  /// Made if it is not there. Throws Error(io).
  explicit AppendFile(std::filesystem::path path);

  /// Throws Error(io), for instance if the disk is full.
  void append(std::string_view bytes);
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
  Descriptor descriptor_;
};

}  // namespace twistor
