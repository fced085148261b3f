// SPDX-License-Identifier: Apache-2.0
// The parts of describe() that look at a run's folder and at the files in it that people can read.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace twistor::report {

[[nodiscard]] std::string describe_run_folder(const std::filesystem::path& folder);

/// summary.json, metrics.jsonl, samples.jsonl or samples.csv, told by what is in them; nullopt for anything
/// else. Throws Error(data) if a file of these is damaged.
[[nodiscard]] std::optional<std::string> describe_text_file(const std::filesystem::path& path);

}  // namespace twistor::report
