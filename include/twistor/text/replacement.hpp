// "Replace" of a tokenizer.json: every match of a pattern by a fixed text, in normalizers and decoders.
#pragma once

#include <string>
#include <string_view>

#include "twistor/text/json.hpp"

namespace twistor::text {

/// Every `from`, from left to right and without overlap; `from` must not be empty. Linear. *Local.*
void replace_all(std::string& text, std::string_view from, std::string_view to);

/// *Local*, immutable.
class Replacement {
 public:
  /// From {"pattern": {"String": ...}, "content": ...}. Throws Error(data).
  [[nodiscard]] static Replacement from_json(const JsonView& json);
  void apply(std::string& text) const { replace_all(text, pattern_, content_); }

 private:
  std::string pattern_;
  std::string content_;
};

}  // namespace twistor::text
