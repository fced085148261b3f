// SPDX-License-Identifier: Apache-2.0
// Models that were cut into several GGUF files, NAME-00001-of-00003.gguf and so on.
#pragma once

#include <filesystem>
#include <vector>

#include "twistor/format/gguf_file.hpp"

namespace twistor::format {

/// The files of the model that `path` is a part of, in order; `path` alone where it is whole. `file` is what
/// was parsed from it. *Local.* Throws Error(no_input) naming parts that are missing, Error(data) where keys
/// and name disagree.
[[nodiscard]] std::vector<std::filesystem::path> gguf_parts(const GgufFile& file,
                                                            const std::filesystem::path& path);

/// The part with the model's keys and vocabulary, from any of its parts. *Local.* Throws as GgufFile::open()
/// and gguf_parts().
[[nodiscard]] GgufFile open_gguf_header(const std::filesystem::path& path);

}  // namespace twistor::format
