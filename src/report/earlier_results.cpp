// SPDX-License-Identifier: Apache-2.0
// Results that are about to be replaced.
#include <fmt/format.h>

#include <system_error>

#include "twistor/base/error.hpp"
#include "twistor/report/sink.hpp"

namespace twistor::report {
namespace {

void keep(const std::filesystem::path& file, const std::filesystem::path& name) {
  if (!std::filesystem::exists(file)) return;
  // A second name for the same file is there at once and whole; a new file is then put under the first.
  std::error_code failure;
  std::filesystem::create_hard_link(file, name, failure);
  if (failure) std::filesystem::copy_file(file, name, failure);  // a file system without links
  TWISTOR_CHECK(!failure, ErrorKind::io, "keeping " + file.string() + " as " + name.string(),
                failure.message());
}

}  // namespace

void keep_earlier_results(const std::filesystem::path& folder) {
  const auto summary = [&](int n) { return folder / fmt::format("summary.{}.json", n); };
  const auto results = [&](int n) { return folder / fmt::format("results.{}.h5", n); };
  int n = 1;
  while (std::filesystem::exists(summary(n)) || std::filesystem::exists(results(n))) ++n;
  keep(folder / "summary.json", summary(n));
  keep(folder / "results.h5", results(n));
  // An evaluation of one prompt, K and seed replaces none, so they must not stay beside it.
  for (const char* name : {"prompts", "sweep"})
    for (const char* end : {"jsonl", "csv"}) {
      const std::filesystem::path file = folder / fmt::format("{}.{}", name, end);
      keep(file, folder / fmt::format("{}.{}.{}", name, n, end));
      std::error_code ignored;
      std::filesystem::remove(file, ignored);
    }
}

}  // namespace twistor::report
