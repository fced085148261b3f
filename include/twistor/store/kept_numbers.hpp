// Numbers of work that is not finished, in a file under a key that says what work it is.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace twistor::store {

/// One rank calls it. *Local.* Throws Error(io).
void keep_numbers(const std::filesystem::path& file, std::string_view key, const std::vector<double>& numbers,
                  const std::string& config_text);

/// What is kept under the key; empty if there is no file, or one of other work. *Local.* Throws Error(data)
/// if the file is damaged.
[[nodiscard]] std::vector<double> load_kept_numbers(const std::filesystem::path& file, std::string_view key);

}  // namespace twistor::store
