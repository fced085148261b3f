// SPDX-License-Identifier: Apache-2.0
// Making, locking and trying a folder.
#include "twistor/store/run_folder.hpp"

#include <fmt/format.h>

#include "twistor/base/error.hpp"
#include "twistor/base/log.hpp"
#include "twistor/store/archive.hpp"

namespace twistor::store {
namespace {

/// Writes a small file in the folder as all others are written, reads it back and removes it.
void try_folder(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / ".try.h5";
  const std::string doing = "trying whether files can be kept in " + folder.string();
  constexpr const char* kind = "results";
  Archive sent;
  sent.datasets["numbers"] = Array<double>::flat({1.0, 2.0, 3.0});
  write_archive(path, sent, kind, {1, false});
  std::string problem;
  try {
    if (read_archive(path, kind).datasets != sent.datasets)
      problem = "what was read back differs from what was written";
  } catch (const Error& error) {
    problem = error.what();
  }
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
  TWISTOR_CHECK(problem.empty(), ErrorKind::io, doing, problem, "choose a run.output on another file system");
}

}  // namespace

void make_run_folder(const std::filesystem::path& folder) {
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  TWISTOR_CHECK(!failure, ErrorKind::io, "making the folder " + folder.string(), failure.message(),
                "choose another run.output");
}

FolderLock claim_run_folder(const std::filesystem::path& folder) {
  FolderLock lock(folder);
  if (!lock.is_held())
    log_warning(fmt::format("{} cannot be locked ({}): let no other run write there", folder.string(),
                            lock.problem()));
  try_folder(folder);
  return lock;
}

}  // namespace twistor::store
