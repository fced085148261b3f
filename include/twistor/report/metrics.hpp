// SPDX-License-Identifier: Apache-2.0
// metrics.jsonl: one JSON object a line, readable while the run goes on and correct after it resumes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "twistor/base/append_file.hpp"
#include "twistor/report/json_line.hpp"

namespace twistor::report {

/// Appends lines; each is in the file when write() returns. *Local*: one rank has one.
class MetricsWriter {
 public:
  /// Without `keep_until_update` the file starts anew. With it, a run resumes from a checkpoint of that
  /// update: lines of later updates, events at that update (they happen again) and lines that a kill cut
  /// short are dropped, lines without "update" stay. Throws Error(io).
  explicit MetricsWriter(const std::filesystem::path& path,
                         std::optional<std::int64_t> keep_until_update = std::nullopt);

  /// Throws Error(io), for instance if the disk is full.
  void write(const JsonLine& line);
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return file_.path(); }

 private:
  AppendFile file_;
};

}  // namespace twistor::report
