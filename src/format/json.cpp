// SPDX-License-Identifier: Apache-2.0
// JSON parsing with a depth limit and lookups that explain themselves.
#include "twistor/format/json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/format/json_file.hpp"
#include "twistor/format/quote.hpp"

namespace twistor::format {
namespace {

struct Scan {
  int depth = 0;               // the deepest nesting of brackets outside strings; stops just past the limit
  bool has_constants = false;  // letters that only NaN and Infinity have stand outside strings
};

Scan scan(std::string_view text) {
  Scan out;
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size() && out.depth <= max_json_depth; ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      out.depth = std::max(out.depth, ++depth);
    } else if (c == ']' || c == '}') {
      --depth;
    } else if (c == 'N' || c == 'I') {
      out.has_constants = true;
    }
  }
  return out;
}

// Python's json writes these, which JSON has no words for. They become texts that begin as no file's does: a
// field that nobody reads stops nothing, and JsonView refuses them by name where one is read.
constexpr char constant_mark = '\x01';
constexpr std::array<std::string_view, 3> constants{"NaN", "Infinity", "-Infinity"};

bool is_constant(std::string_view text) {
  return text.starts_with(constant_mark) && std::ranges::find(constants, text.substr(1)) != constants.end();
}

std::string with_marked_constants(std::string_view text) {
  std::string out;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size();) {
    const auto* found =
        in_string ? constants.end() : std::ranges::find_if(constants, [&](std::string_view name) {
          return text.substr(i).starts_with(name);
        });
    if (found != constants.end()) {
      out += fmt::format("\"\\u0001{}\"", *found);
      i += found->size();
      continue;
    }
    if (in_string && text[i] == '\\' && i + 1 < text.size())
      out += text[i++];
    else if (text[i] == '"')
      in_string = !in_string;
    out += text[i++];
  }
  return out;
}

}  // namespace

nlohmann::json parse_json(std::string_view text, const std::string& doing) {
  const Scan seen = scan(text);
  TWISTOR_CHECK(seen.depth <= max_json_depth, ErrorKind::data, doing,
                fmt::format("brackets are nested more than {} deep", max_json_depth),
                "this is not a file of a language model");
  try {
    return seen.has_constants ? nlohmann::json::parse(with_marked_constants(text))
                              : nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    const std::string what = error.what();
    const std::size_t tag_end = what.find("] ");
    throw Error(ErrorKind::data, doing,
                "no valid JSON: " + (tag_end == std::string::npos ? what : what.substr(tag_end + 2)),
                "the file may be truncated; compare its size or checksum with the original");
  }
}

std::string json_string(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

JsonView::JsonView(const nlohmann::json& value, std::string doing, std::string place)
    : value_(&value), doing_(std::move(doing)), place_(std::move(place)) {}

void JsonView::fail(const std::string& problem, const std::string& hint) const {
  throw Error(ErrorKind::data, doing_, (place_.empty() ? "" : place_ + ": ") + problem, hint);
}

void JsonView::fail_type(std::string_view expected) const {
  if (value_->is_string() && is_constant(value_->get_ref<const std::string&>()))
    fail(fmt::format("expected {}, got {}", expected, value_->get_ref<const std::string&>().substr(1)));
  fail(fmt::format("expected {}, got {}", expected,
                   value_->is_object() || value_->is_array() ? std::string(value_->type_name())
                                                             : value_->dump(-1, ' ', true).substr(0, 60)));
}

JsonView JsonView::child(std::string_view key, const nlohmann::json& value) const {
  const std::string name = quote(key);
  const std::string bare = name.substr(1, name.size() - 2);
  return {value, doing_, place_.empty() ? bare : place_ + "." + bare};
}

std::optional<JsonView> JsonView::find(std::string_view key) const {
  const auto found = object().find(key);
  if (found == value_->end() || found->is_null()) return std::nullopt;
  return child(key, *found);
}

JsonView JsonView::at(std::string_view key) const {
  if (auto found = find(key)) return *found;
  fail(fmt::format("expected a member {}, got none", quote(key)));
}

JsonView JsonView::item(std::size_t index) const {
  if (!value_->is_array()) fail_type("an array");
  if (index >= value_->size())
    fail(fmt::format("expected at least {} elements, got {}", index + 1, value_->size()));
  return {(*value_)[index], doing_, fmt::format("{}[{}]", place_, index)};
}

bool JsonView::is_array() const {
  return value_->is_array();
}
bool JsonView::is_object() const {
  return value_->is_object();
}

std::size_t JsonView::array_size() const {
  if (!value_->is_array()) fail_type("an array");
  return value_->size();
}

std::int64_t JsonView::integer(std::int64_t smallest, std::int64_t largest) const {
  if (!value_->is_number_integer()) fail_type("an integer");
  const bool fits = !value_->is_number_unsigned() ||
                    value_->get<std::uint64_t>() <= std::uint64_t{std::numeric_limits<std::int64_t>::max()};
  const std::int64_t number = fits ? value_->get<std::int64_t>() : 0;
  if (!fits || number < smallest || number > largest)
    fail(fmt::format("expected an integer in [{}, {}], got {}", smallest, largest, value_->dump()));
  return number;
}

double JsonView::number() const {
  if (!value_->is_number()) fail_type("a number");
  return value_->get<double>();
}

bool JsonView::boolean() const {
  if (!value_->is_boolean()) fail_type("true or false");
  return value_->get<bool>();
}

const std::string& JsonView::string() const {
  if (!value_->is_string() || is_constant(value_->get_ref<const std::string&>())) fail_type("a string");
  return value_->get_ref<const std::string&>();
}

const nlohmann::json& JsonView::object() const {
  if (!value_->is_object()) fail_type("an object");
  return *value_;
}

JsonFile::JsonFile(const std::filesystem::path& path)
    : doing_("reading " + path.string()),
      file_(path),
      document_(std::make_shared<const nlohmann::json>(parse_json(text(), doing_))) {}

}  // namespace twistor::format
