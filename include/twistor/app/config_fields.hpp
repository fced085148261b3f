// The table of configuration keys: what each may hold, in the order of the canonical text.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "twistor/app/config.hpp"

namespace twistor::app {

using FieldPointer =
    std::variant<bool*, std::int64_t*, std::uint64_t*, double*, std::string*, std::vector<std::int64_t>*>;

/// What a number may be.
struct Range {
  double low = 0;
  double high = 0;
  bool is_low_allowed = true;
  bool is_high_allowed = true;
};

/// One key.
struct Field {
  std::string_view key;  ///< "section.name"
  FieldPointer (*pointer)(Config&);
  std::string_view meaning;               ///< half a line for --help
  Range range = {};                       ///< of int64 and double fields
  std::vector<std::string_view> choices;  ///< of string fields that name one of a few things; else empty
};

/// Where a value comes from: in a file, texts may be quoted and comments may follow; elsewhere a text is
/// taken verbatim.
enum class ValueSyntax { file, verbatim };

/// All keys, sections together, sections in the order of Config.
[[nodiscard]] std::span<const Field> fields();
/// nullptr if there is none of that key.
[[nodiscard]] const Field* find_field(std::string_view key);
/// find_field(), but throws Error(config) that names the nearest key. `doing` says where the key was read.
[[nodiscard]] const Field& require_field(std::string_view key, const std::string& doing);

/// "an integer from 1 to 9", "one of: a, b".
[[nodiscard]] std::string expectation(const Field& field);
/// Sets one value. Returns what is wrong with `value`, or an empty string if nothing is.
[[nodiscard]] std::string assign(const Field& field, Config& config, std::string_view value,
                                 ValueSyntax syntax);
/// Whether both hold the same value under that key, compared as what it is and not as text.
[[nodiscard]] bool is_equal(const Field& field, const Config& a, const Config& b);
/// The value as assign() with ValueSyntax::file reads it back.
[[nodiscard]] std::string format_value(const Field& field, const Config& config);

}  // namespace twistor::app
