// SPDX-License-Identifier: Apache-2.0
// The text of a configuration: INI lines into fields, and fields into their canonical text.
#pragma once

#include <filesystem>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "twistor/config/fields.hpp"

namespace twistor::config {

/// "--section.key=value" from the command line; the value is taken as it stands.
struct Override {
  std::string key;
  std::string value;
};

/// The text of a file. *Local.* Throws Error(no_input) if it cannot be read, Error(config) if it is too large
/// for a configuration.
[[nodiscard]] std::string read_file(const std::filesystem::path& file);

/// The names that sections of a family have, "a" and "b" of [policy.a] and policy.b.path = ..., in a text and
/// on the command line: an object with keys must exist before they are read. Letters, digits, '_' and '-';
/// what is called otherwise is left to be refused as unknown. *Local.*
[[nodiscard]] std::set<std::string> named_sections(std::string_view family, std::string_view text,
                                                   std::span<const Override> overrides);

/// Sets what INI text says: "[section]" and "key = value", or "section.key = value"; each key at most once.
/// `name` stands for the text in messages. *Local.* Throws Error(config) naming line and key, what is allowed
/// and the nearest key that exists.
void read_text(std::string_view text, const std::string& name, const Fields& fields);

/// Sets what the command line says; of several with one key the last counts. Throws Error(config).
void apply(std::span<const Override> overrides, const Fields& fields);

/// Canonical INI text: every key, in the order of the fields. read_text() of it gives the same values to the
/// last bit.
[[nodiscard]] std::string to_text(const Fields& fields);

}  // namespace twistor::config
