// SPDX-License-Identifier: Apache-2.0
// Tokens and their ids.
#include "twistor/text/vocabulary.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "twistor/format/quote.hpp"

namespace twistor::text {

Vocabulary Vocabulary::from_json(const format::JsonView& object) {
  // Ids index an array, so a single absurd id must not decide how much memory is taken.
  const auto largest_id = static_cast<std::int64_t>(4 * object.object().size() + 65536);
  Vocabulary out;
  for (const auto& [token, id_value] : object.object().items()) {
    const format::JsonView place = object.child(token, id_value);
    const std::int64_t id = place.integer(0, largest_id);
    if (!out.add(token, id))
      place.fail(fmt::format("the id {} is also that of {}", id, format::quote(*out.token(id))),
                 "every token needs its own id");
  }
  return out;
}

Vocabulary Vocabulary::from_list(const std::vector<std::string_view>& tokens) {
  Vocabulary out;
  out.tokens_.reserve(tokens.size());
  for (const std::string_view token : tokens) {
    out.ids_.try_emplace(std::string(token), out.size());
    out.tokens_.emplace_back(token);
  }
  return out;
}

bool Vocabulary::add(std::string_view token, std::int64_t id) {
  const auto index = static_cast<std::size_t>(id);
  if (index < tokens_.size() && tokens_[index]) return *tokens_[index] == token && find(token) == id;
  if (!ids_.try_emplace(std::string(token), id).second) return false;
  if (index >= tokens_.size()) tokens_.resize(index + 1);
  tokens_[index] = token;
  return true;
}

std::optional<std::int64_t> Vocabulary::find(std::string_view token) const {
  const auto found = ids_.find(token);
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

const std::string* Vocabulary::token(std::int64_t id) const {
  if (id < 0 || id >= size()) return nullptr;
  const auto& token = tokens_[static_cast<std::size_t>(id)];
  return token ? &*token : nullptr;
}

}  // namespace twistor::text
