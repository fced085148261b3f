// SPDX-License-Identifier: Apache-2.0
// What is wrong in a chat template, before it is known where. Private to the text room.
#pragma once

#include <stdexcept>
#include <string>

namespace twistor::text::chat {

/// Becomes an Error with the template's name; the message begins with "line N: " once the line is known.
struct TemplateProblem : std::runtime_error {
  explicit TemplateProblem(const std::string& message, bool knows_line = false)
      : std::runtime_error(message), has_line(knows_line) {}
  bool has_line;
};

/// The template itself refuses what it was given, by raise_exception().
struct TemplateRefusal : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace twistor::text::chat
