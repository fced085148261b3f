// SPDX-License-Identifier: Apache-2.0
// "Replace" of a tokenizer.json: every match of a pattern by a fixed text, in normalizers and decoders.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "twistor/format/json.hpp"
#include "twistor/text/regex.hpp"

namespace twistor::text {

/// Every `from`, from left to right and without overlap; `from` must not be empty. Linear. *Local.*
void replace_all(std::string& text, std::string_view from, std::string_view to);

/// *Local*, immutable.
class Replacement {
 public:
  /// From {"pattern": {"String": ...} or {"Regex": ...}, "content": ...}. Throws Error(data).
  [[nodiscard]] static Replacement from_json(const format::JsonView& json);
  void apply(std::string& text) const;

 private:
  std::string literal_;
  std::optional<Regex> regex_;  ///< instead of literal_
  std::string content_;
};

}  // namespace twistor::text
