// What `twistor info` says of a run's folder and of the files in it that people can read.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace twistor::app {

/// Whether a folder holds files of a run and no model.
[[nodiscard]] bool is_run_folder(const std::filesystem::path& folder);

/// One line for each file of a run that is there, and what its summary comes to. A damaged file gets a line
/// that says so.
[[nodiscard]] std::string describe_run_folder(const std::filesystem::path& folder);

/// summary.json, metrics.jsonl, samples.jsonl or samples.csv, told by what is in them; nullopt for anything
/// else. Throws Error(data) if a file of these is damaged.
[[nodiscard]] std::optional<std::string> describe_text_file(const std::filesystem::path& path);

}  // namespace twistor::app
