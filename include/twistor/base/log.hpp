// SPDX-License-Identifier: Apache-2.0
// Messages for people on stderr, with a level; algorithms do not print, the app does.
#pragma once

#include <string_view>

namespace twistor {

enum class LogLevel : int { debug = 0, info = 1, warning = 2, error = 3, silent = 4 };

/// Sets what is shown from now on (default info). *Local.* Ranks other than 0 are usually set to warning.
void set_log_level(LogLevel level) noexcept;
[[nodiscard]] LogLevel log_level() noexcept;

/// Writes one line "[twistor] level: text" to stderr if the level is shown. One write call, so that ranks do
/// not mix.
void log(LogLevel level, std::string_view text);

inline void log_info(std::string_view text) {
  log(LogLevel::info, text);
}
inline void log_warning(std::string_view text) {
  log(LogLevel::warning, text);
}

}  // namespace twistor
