// SPDX-License-Identifier: Apache-2.0
// Files that appear under their final name whole or not at all, whenever the process is killed.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "twistor/base/descriptor.hpp"

namespace twistor {

/// Name of the generation before `path`: run/checkpoint.h5 -> run/checkpoint.previous.h5.
[[nodiscard]] std::filesystem::path previous_generation(const std::filesystem::path& path);

struct PublishOptions {
  int generations = 1;  ///< 2 keeps the file that is replaced as previous_generation(path)
  bool durable = true;  ///< fsync of file and folder: survives a power cut, not only a kill
};

/// A temporary file beside `path` that publish() puts in its place. One writer per path at a time. *Local.*
///
/// The temporary is locked (flock) while its writer lives, so leftovers of killed writers are told from files
/// in use and are removed by the next AtomicFile for the same path. Without publish() the destructor removes
/// it.
class AtomicFile {
 public:
  /// `doing` opens every message. Throws Error(io).
  AtomicFile(std::filesystem::path path, std::string doing);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  /// Open for reading and writing, empty at first.
  [[nodiscard]] int descriptor() const noexcept { return descriptor_.get(); }

  /// Gives the file its final name. At every moment the final name or, with 2 generations, the previous one
  /// holds a whole file if it did so before. Throws Error(io); the file then keeps its old contents.
  void publish(const PublishOptions& options = {});

 private:
  void keep_previous_and_rename();
  void sync_folder() const;

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  std::string doing_;
  Descriptor descriptor_;
};

/// Writes `text` under `path` through an AtomicFile. Throws Error(io). *Local.*
void write_file_atomically(const std::filesystem::path& path, std::string_view text,
                           const std::string& doing);

}  // namespace twistor
