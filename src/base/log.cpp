// SPDX-License-Identifier: Apache-2.0
// Log lines.
#include "twistor/base/log.hpp"

#include <unistd.h>

#include <atomic>
#include <string>

namespace twistor {
namespace {

std::atomic<LogLevel> shown{LogLevel::info};  // the one process-wide setting

}  // namespace

void set_log_level(LogLevel level) noexcept {
  shown = level;
}
LogLevel log_level() noexcept {
  return shown;
}

void log(LogLevel level, std::string_view text) {
  if (level < shown.load() || level == LogLevel::silent) return;
  std::string line = "[twistor] ";
  if (level == LogLevel::warning) line += "warning: ";
  if (level == LogLevel::error) line += "error: ";
  line.append(text).push_back('\n');
  // A short or failed write to stderr leaves nothing sensible to do.
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace twistor
