// SPDX-License-Identifier: Apache-2.0
// Appending to, and cutting back, a file of JSON lines.
#include "twistor/report/metrics.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

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

MetricsWriter::MetricsWriter(std::filesystem::path path, std::optional<std::int64_t> keep_until_update)
    : path_(std::move(path)) {
  const std::string kept = keep_until_update ? kept_lines(path_, *keep_until_update) : std::string();
  write_text_atomically(path_.string(), kept);
  descriptor_ = Descriptor(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (!descriptor_) throw_io_error("opening " + path_.string(), "cannot append", errno);
}

void MetricsWriter::write(const JsonLine& line) {
  const std::string text = line.text() + "\n";
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t n = ::write(descriptor_.get(), rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_io_error("writing " + path_.string(), "cannot append a line", errno);
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
}

}  // namespace twistor::report
