// SPDX-License-Identifier: Apache-2.0
// Keys of a configuration: what each may hold, and how a struct of options says which members are keys.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "twistor/base/names.hpp"

namespace twistor::config {

/// What a number may be.
struct Range {
  double low = 0;
  double high = 0;
  bool is_low_allowed = true;
  bool is_high_allowed = true;
};

/// What is said about a key once, beside the member that holds its value. configs/reference.cfg says the
/// rest.
struct Key {
  std::string_view name;                       ///< without its section
  std::string_view meaning;                    ///< half a line for --help
  Range range = {};                            ///< of int64, double and, if there is one, numbers of a list
  std::vector<std::string_view> choices = {};  ///< of a text that names one of a few things; else empty
  bool is_input = false;                       ///< names a file or folder to read: see input_path()
  bool shapes_learning = false;                ///< with another value other parameters would be learned
};

/// An enum by its name, whatever the enum: its names come from its table (base/names.hpp).
class Choice {
 public:
  template <class Enum>
  explicit Choice(Enum& value)
      : names_(choices_of<Enum>()),
        get_([&value] { return name_of(value); }),
        set_([&value](std::string_view name) { value = *find_name<Enum>(name); }) {}

  [[nodiscard]] const std::vector<std::string_view>& names() const { return names_; }
  [[nodiscard]] std::string_view get() const { return get_(); }
  /// `name` must be one of names().
  void set(std::string_view name) const { set_(name); }

 private:
  std::vector<std::string_view> names_;
  std::function<std::string_view()> get_;
  std::function<void(std::string_view)> set_;
};

/// The member that a key stands for.
using Value = std::variant<bool*, std::int64_t*, std::uint64_t*, double*, std::string*,
                           std::vector<std::int64_t>*, Choice>;

/// A struct of options has `void visit_keys(const config::Visitor& visit)`, which calls visit(key, value) for
/// each of its keys in a fixed order. Reading, writing, checking, comparing and hashing all go by that visit,
/// so a key is named once.
using Visitor = std::function<void(const Key&, const Value&)>;

}  // namespace twistor::config
