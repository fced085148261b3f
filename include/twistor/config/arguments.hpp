// SPDX-License-Identifier: Apache-2.0
// The words after a command: files, options and settings of keys, by Boost.Program_options.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "twistor/config/fields.hpp"
#include "twistor/config/ini.hpp"

namespace twistor::config {

/// Options that --help shows together.
struct OptionGroup {
  std::string title;
  std::vector<Field> fields;  ///< each is the option --KEY; their values, if any, are shown as defaults
  bool has_flags = false;     ///< a bool is set by its name alone, "--json"
};

/// The words, sorted.
struct Arguments {
  std::vector<std::string> files;
  std::vector<Override> settings;    ///< in order, keys as written; a flag's value is "true"
  std::vector<std::string> unknown;  ///< keys of settings that no group has
  bool is_help = false;              ///< --help is among the words
};

/// The groups with what their options mean, for --help.
[[nodiscard]] std::string describe_options(std::span<const OptionGroup> groups);

/// Sorts the words; sets no value. "--key=" and "--key ''" both give an empty text. *Local.* Throws
/// Error(usage) that points to the help of `command` if an option lacks its value.
[[nodiscard]] Arguments read_arguments(std::span<const std::string> words,
                                       std::span<const OptionGroup> groups, const std::string& command);

}  // namespace twistor::config
