// SPDX-License-Identifier: Apache-2.0
// What the expressions of a chat template stand for. Private to the text room.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace twistor::text::chat {

class Value;
struct Statement;

/// What a name, a key or a place stands for that is not there.
struct Undefined {
  std::string what;
};
struct None {};
/// A function by its name, or a macro of the template.
struct Function {
  std::string name;
  const Statement* macro = nullptr;
  std::string date = {};  ///< of strftime_now
};
using List = std::vector<Value>;
using Member = std::pair<std::string, Value>;
/// In the order of the file.
using Dict = std::vector<Member>;
/// The one kind of value whose members a template may set.
struct Namespace {
  Dict members;
};

/// Lists and dictionaries are shared, for nothing changes them. They throw TemplateProblem where they are
/// nested too deep, or hold a namespace, through which they could hold themselves.
class Value {
 public:
  using Storage =
      std::variant<Undefined, None, bool, std::int64_t, double, std::string, Function,
                   std::shared_ptr<const List>, std::shared_ptr<const Dict>, std::shared_ptr<Namespace>>;

  Value() = default;
  Value(Storage storage) : storage_(std::move(storage)) {}
  Value(bool value) : storage_(value) {}
  Value(std::int64_t value) : storage_(value) {}
  Value(std::string value) : storage_(std::move(value)) {}
  explicit Value(List items);
  explicit Value(Dict members);
  Value(const char*) = delete;
  static Value undefined(std::string what) { return Storage(Undefined{std::move(what)}); }
  static Value none() { return Storage(None{}); }

  template <class T>
  [[nodiscard]] bool is() const {
    return std::holds_alternative<T>(storage_);
  }
  template <class T>
  [[nodiscard]] const T* as() const {
    return std::get_if<T>(&storage_);
  }
  [[nodiscard]] const List* list() const;
  [[nodiscard]] const Dict* dict() const;  ///< also of a namespace
  [[nodiscard]] bool is_number() const { return is<bool>() || is<std::int64_t>() || is<double>(); }
  [[nodiscard]] double number() const;                          ///< of a number
  [[nodiscard]] bool is_true() const;                           ///< as Python's bool()
  [[nodiscard]] const Value* find(std::string_view key) const;  ///< a member; nullptr: there is none
  [[nodiscard]] const Storage& storage() const { return storage_; }

 private:
  void stand_above(const Value& part);

  Storage storage_ = Undefined{};
  int depth_ = 0;  // of lists in lists
};

/// "a string", "a list": for messages.
[[nodiscard]] std::string kind_of(const Value& value);

/// Python's ==.
[[nodiscard]] bool equal(const Value& a, const Value& b);

/// Of a string, and of the whole text; and of what a list has.
inline constexpr std::size_t most_template_bytes = std::size_t{1} << 24, most_items = std::size_t{1} << 18;

/// What a template prints of it. Throws TemplateProblem for lists, dictionaries and functions, which only
/// tojson spells in the same way everywhere.
[[nodiscard]] std::string printed(const Value& value);

/// As Python's json.dumps(value, ensure_ascii=False, indent=indent); indent < 0: on one line. Throws
/// TemplateProblem where JSON has no such value.
[[nodiscard]] std::string json_of(const Value& value, std::int64_t indent = -1);

[[nodiscard]] Value from_json(const nlohmann::ordered_json& json, int depth = 0);

/// The code points of a text, each as a string; bytes that are no UTF-8 count one by one.
[[nodiscard]] std::vector<std::string_view> characters(std::string_view text);

}  // namespace twistor::text::chat
