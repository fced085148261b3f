// Following a folder of Hugging Face's cache to a snapshot.
#include "twistor/format/model_folder.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "twistor/base/error.hpp"
#include "twistor/base/strings.hpp"

namespace twistor::format {
namespace {

namespace fs = std::filesystem;

/// The folder models--OWNER--NAME that `path` is, or is the `snapshots` of; empty if it is neither.
fs::path cache_entry(const fs::path& path) {
  std::error_code unknown;
  if (fs::is_directory(path / "snapshots", unknown) && !fs::exists(path / "config.json", unknown))
    return path;
  const fs::path whole = fs::absolute(path, unknown).lexically_normal();
  // "models/x/" ends in an empty name.
  const fs::path folder = whole.has_filename() ? whole : whole.parent_path();
  const bool is_snapshots = folder.filename() == "snapshots" && fs::is_directory(folder, unknown) &&
                            !fs::exists(folder / "config.json", unknown);
  return is_snapshots ? folder.parent_path() : fs::path();
}

std::string main_revision(const fs::path& entry) {
  std::ifstream file(entry / "refs" / "main");
  std::string revision;
  std::getline(file, revision);
  revision = std::string(trim(revision));
  return revision.find('/') == std::string::npos && revision != ".." ? revision : std::string{};
}

}  // namespace

fs::path find_model_folder(const fs::path& path) {
  const fs::path entry = cache_entry(path);
  if (entry.empty()) return path;
  const fs::path snapshots = entry / "snapshots";
  std::error_code unknown;
  if (const std::string revision = main_revision(entry);
      !revision.empty() && fs::is_directory(snapshots / revision, unknown))
    return snapshots / revision;
  std::vector<std::string> found;
  for (const fs::directory_entry& snapshot : fs::directory_iterator(snapshots, unknown))
    if (snapshot.is_directory(unknown)) found.push_back(snapshot.path().string());
  if (found.size() == 1) return found.front();
  std::ranges::sort(found);
  throw Error(
      ErrorKind::no_input, "looking for a model in " + path.string(),
      found.empty() ? "it is a folder of Hugging Face's cache without any snapshot"
                    : fmt::format("it is a folder of Hugging Face's cache with {} snapshots, and its "
                                  "refs/main names none of them",
                                  found.size()),
      found.empty() ? "download the model again" : fmt::format("give one of {}", fmt::join(found, ", ")));
}

std::uintmax_t bytes_on_disk(const std::filesystem::path& path) {
  std::error_code failure;
  if (!std::filesystem::is_directory(path, failure)) {
    const std::uintmax_t bytes = std::filesystem::file_size(path, failure);
    return failure ? 0 : bytes;
  }
  std::uintmax_t total = 0;
  for (std::filesystem::directory_iterator entry(path, failure), end; !failure && entry != end;
       entry.increment(failure)) {
    std::error_code unknown;
    const std::uintmax_t bytes = entry->is_regular_file(unknown) ? entry->file_size(unknown) : 0;
    total += unknown ? 0 : bytes;
  }
  return total;
}

}  // namespace twistor::format
