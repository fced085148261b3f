// SPDX-License-Identifier: Apache-2.0
// Appending to, and cutting back, a file of JSON lines.
#include "twistor/report/metrics.hpp"

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace twistor::report {
namespace {

/// Whether the line is whole and belongs to the run up to that update. What happened after the update itself
/// (an evaluation, for instance) happens again when the run goes on from there.
bool is_kept(const std::string& line, std::int64_t last_update) {
  const auto value = nlohmann::json::parse(line, nullptr, false);
  if (!value.is_object()) return false;
  const auto update = value.find("update");
  if (update == value.end()) return true;
  if (!update->is_number()) return false;
  const double at = update->get<double>(), last = static_cast<double>(last_update);
  return value.contains("event") ? at < last : at <= last;
}

std::string kept_lines(const std::filesystem::path& path, std::int64_t last_update) {
  std::ifstream in(path, std::ios::binary);
  std::string kept, line;
  while (std::getline(in, line)) {
    if (is_kept(line, last_update)) kept += line + "\n";
  }
  return kept;
}

}  // namespace

MetricsWriter::MetricsWriter(const std::filesystem::path& path,
                             std::optional<std::int64_t> keep_until_update) {
  const std::string kept = keep_until_update ? kept_lines(path, *keep_until_update) : std::string();
  write_text_atomically(path.string(), kept);
  file_ = AppendFile(path);
}

void MetricsWriter::write(const JsonLine& line) {
  file_.append(line.text() + "\n");
}

}  // namespace twistor::report
