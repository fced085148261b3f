// SPDX-License-Identifier: Apache-2.0
// Paths in configurations: the home folder, the cache, and where inputs are looked for.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace twistor::config {

/// "~/x" and "${TWISTOR_CACHE}/x" expanded (TWISTOR_CACHE defaults to ~/.cache/twistor). Throws
/// Error(config) on any other ${...} and when HOME is needed and not set.
[[nodiscard]] std::filesystem::path output_path(const std::string& value);

/// The names that launch/get_model.sh fetches into ${TWISTOR_CACHE}/models; a test keeps the two equal.
inline constexpr std::string_view fetched_models[] = {"smollm2", "minilm", "vader", "toxicity", "gemma3"};

/// output_path(), then looked for from the current folder and, failing that, from the parent of the folder
/// that holds `config_file` (the repository's root for configs/x.cfg). Throws Error(no_input) naming `key`
/// and both places, or the command that fetches a shipped configuration's model.
[[nodiscard]] std::filesystem::path input_path(const std::string& value,
                                               const std::filesystem::path& config_file,
                                               std::string_view key);

}  // namespace twistor::config
