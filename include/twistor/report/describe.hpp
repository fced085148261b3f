// SPDX-License-Identifier: Apache-2.0
// What a run's folder and the files in it are, in people's words.
#pragma once

#include <filesystem>
#include <string>

namespace twistor::report {

/// Whether a folder holds files of a run and no model.
[[nodiscard]] bool is_run_folder(const std::filesystem::path& folder);

/// Lines for people, most of them "name: value", on any file of a run; for its folder, one line for each file
/// that is there (a damaged one gets a line that says so) and what its summary comes to. A checkpoint has the
/// line "parameters sha256: <hex>". *Local.* Throws Error(no_input) if it is missing, Error(data) if it is
/// damaged or none of ours.
[[nodiscard]] std::string describe(const std::filesystem::path& path);

}  // namespace twistor::report
