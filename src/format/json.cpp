// JSON parsing with a depth limit and lookups that explain themselves.
#include "twistor/format/json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/format/json_file.hpp"
#include "twistor/format/quote.hpp"

namespace twistor::format {
namespace {

// The deepest nesting of brackets outside strings; stops counting just past the limit.
int nesting_depth(std::string_view text) {
  int depth = 0;
  int deepest = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size() && deepest <= max_json_depth; ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return deepest;
}

}  // namespace

nlohmann::json parse_json(std::string_view text, const std::string& doing) {
  TWISTOR_CHECK(nesting_depth(text) <= max_json_depth, ErrorKind::data, doing,
                fmt::format("brackets are nested more than {} deep", max_json_depth),
                "this is not a file of a language model");
  try {
    return nlohmann::json::parse(text);
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
  if (!value_->is_string()) fail_type("a string");
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
