// Files of texts, one a line.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace twistor::format {

/// The lines of a file; of NAME.jsonl JSON strings, or the member "text" of objects. *Local.* Throws
/// Error(no_input) if it cannot be read, Error(data) that names the line if one is no JSON, or if there is
/// none.
[[nodiscard]] std::vector<std::string> read_texts(const std::filesystem::path& path);

}  // namespace twistor::format
