// SPDX-License-Identifier: Apache-2.0
// Tables of the kinds of a tokenizer's components: found by the "type" in the file, refused by name.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "twistor/format/json.hpp"
#include "twistor/format/quote.hpp"

namespace twistor::text {

/// The entry whose `type` is `name`; throws Error(data) about `json` with the list of the known ones.
/// `what` is for the message: "normalizer". *Local.*
template <class Kinds>
[[nodiscard]] const auto& find_kind(const Kinds& kinds, std::string_view name, std::string_view what,
                                    const format::JsonView& json) {
  std::string list;
  for (const auto& kind : kinds) {
    if (kind.type == name) return kind;
    list += (list.empty() ? "" : ", ") + std::string(kind.type);
  }
  json.fail("the " + std::string(what) + " " + format::quote(name) + " is not supported",
            "supported: " + list);
}

/// Calls read(json), or, where the kind is "Sequence", does so for every part in its list, however deep.
/// *Local.*
template <class Read>
void for_each_part(const format::JsonView& json, std::string_view list_key, Read read) {
  if (json.at("type").string() != "Sequence") return read(json);
  const format::JsonView list = json.at(list_key);
  for (std::size_t i = 0; i < list.array_size(); ++i) for_each_part(list.item(i), list_key, read);
}

/// Throws Error(data) where parts that follow one another let a text grow without end: a file with
/// replacements by longer texts could fill the memory. `before` and `after` are bytes.
void check_growth(std::size_t before, std::size_t after);

}  // namespace twistor::text
