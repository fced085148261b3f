// What two configurations do not agree on, in words.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "twistor/config/fields.hpp"

namespace twistor::config {

/// Collects what is said about a checkpoint and the run that reads it.
class Differences {
 public:
  Differences(Fields stored, Fields wanted) : stored_(std::move(stored)), wanted_(std::move(wanted)) {}

  void compare(std::string_view what, std::string_view stored, std::string_view wanted);
  /// Values are compared as what they are. Throws Error(internal) if there is no such key.
  void compare_key(std::string_view key);
  /// "KEY is 'A' in the checkpoint and 'B' in this run; ..."; empty if all agrees.
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  void add(std::string_view what, std::string_view stored, std::string_view wanted);
  Fields stored_, wanted_;
  std::string text_;
};

}  // namespace twistor::config
