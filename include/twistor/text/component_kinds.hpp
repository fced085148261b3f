// Tables of the kinds of a tokenizer's components: found by the "type" in the file, refused by name.
#pragma once

#include <string>
#include <string_view>

#include "twistor/text/json.hpp"
#include "twistor/text/quote.hpp"

namespace twistor::text {

/// The entry whose `type` is `name`; throws Error(data) about `json` with the list of the known ones.
/// `what` is for the message: "normalizer". *Local.*
template <class Kinds>
[[nodiscard]] const auto& find_kind(const Kinds& kinds, std::string_view name, std::string_view what,
                                    const JsonView& json) {
  std::string list;
  for (const auto& kind : kinds) {
    if (kind.type == name) return kind;
    list += (list.empty() ? "" : ", ") + std::string(kind.type);
  }
  json.fail("the " + std::string(what) + " " + quote(name) + " is not supported", "supported: " + list);
}

}  // namespace twistor::text
