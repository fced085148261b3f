// SPDX-License-Identifier: Apache-2.0
// The folder of a run, before there is anything to lose.
#pragma once

#include <filesystem>

#include "twistor/base/folder_lock.hpp"

namespace twistor::store {

/// Makes the folder if need be; any number of processes at once. *Local.* Throws Error(io).
void make_run_folder(const std::filesystem::path& folder);

/// Keeps others out as long as the result lives, with a warning in the log where the file system knows no
/// locks, and makes sure that the folder gives back what is written there. *Local*, one rank of a job. Throws
/// Error(config) saying who holds the folder, Error(io) if it is no place for files.
[[nodiscard]] FolderLock claim_run_folder(const std::filesystem::path& folder);

}  // namespace twistor::store
