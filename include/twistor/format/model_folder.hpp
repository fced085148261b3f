// Where the files of a model are: in the folder that was given, or in the cache of Hugging Face's programs.
#pragma once

#include <cstdint>
#include <filesystem>

namespace twistor::format {

/// `path` itself, or the snapshot inside it where it is a folder of Hugging Face's cache: models--OWNER--NAME
/// or its `snapshots`, followed to what refs/main names, or to the only snapshot. *Local.* Throws
/// Error(no_input) naming the snapshots to choose from where that is not clear.
[[nodiscard]] std::filesystem::path find_model_folder(const std::filesystem::path& path);

/// Bytes of a file, or of the files in a folder; what cannot be read counts 0. For the person who waits.
/// *Local.*
[[nodiscard]] std::uintmax_t bytes_on_disk(const std::filesystem::path& path);

}  // namespace twistor::format
