// SPDX-License-Identifier: Apache-2.0
// One error type for everything that users, files and peers can cause, and the checks that throw it.
#pragma once

#include <source_location>
#include <stdexcept>
#include <string>

namespace twistor {

/// What went wrong, as the sysexits code that the process ends with.
enum class ErrorKind : int {
  usage = 64,     ///< wrong command line
  data = 65,      ///< a file is there but damaged or unfit
  no_input = 66,  ///< a file is missing or unreadable
  internal = 70,  ///< our own mistake
  io = 74,        ///< writing failed (disk full, permissions)
  peer = 75,      ///< another rank failed or vanished
  config = 78,    ///< a configuration key or environment variable
};

/// "DOING: PROBLEM" and, on a line of its own, "hint: HINT". The rank is added where the error is printed.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& doing, const std::string& problem, std::string hint = {},
        std::source_location where = std::source_location::current());

  [[nodiscard]] ErrorKind kind() const noexcept { return kind_; }
  [[nodiscard]] int exit_code() const noexcept { return static_cast<int>(kind_); }
  [[nodiscard]] const std::string& hint() const noexcept { return hint_; }
  [[nodiscard]] const std::source_location& where() const noexcept { return where_; }
  /// The whole text as a person should see it, hint included.
  [[nodiscard]] std::string text() const;

 private:
  ErrorKind kind_;
  std::string hint_;
  std::source_location where_;
};

[[noreturn]] void throw_assertion(const char* condition, const std::string& message,
                                  std::source_location where);

}  // namespace twistor

/// Throws Error(kind, doing, problem, hint...) unless the condition holds; the texts are built only then.
#define TWISTOR_CHECK(condition, ...)      \
  do {                                     \
    if (!(condition)) [[unlikely]]         \
      throw ::twistor::Error(__VA_ARGS__); \
  } while (false)

/// For what only a programmer can get wrong. Active in every build.
#define TWISTOR_ASSERT(condition, message)                                              \
  do {                                                                                  \
    if (!(condition)) [[unlikely]]                                                      \
      ::twistor::throw_assertion(#condition, message, std::source_location::current()); \
  } while (false)
