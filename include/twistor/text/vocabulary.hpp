// SPDX-License-Identifier: Apache-2.0
// Tokens and their ids, both ways.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "twistor/format/json.hpp"

namespace twistor::text {

/// Ids may have holes. *Local.*
class Vocabulary {
 public:
  Vocabulary() = default;
  Vocabulary(Vocabulary&&) = default;
  Vocabulary& operator=(Vocabulary&&) = default;

  /// From an object {token: id}. Throws Error(data).
  [[nodiscard]] static Vocabulary from_json(const format::JsonView& object);
  /// Ids are positions; of equal tokens the first one is found by find().
  [[nodiscard]] static Vocabulary from_list(const std::vector<std::string_view>& tokens);

  /// False if the id is taken by another token, or the token has another id.
  [[nodiscard]] bool add(std::string_view token, std::int64_t id);

  [[nodiscard]] std::optional<std::int64_t> find(std::string_view token) const;
  /// nullptr if the id is out of range or a hole.
  [[nodiscard]] const std::string* token(std::int64_t id) const;
  /// Largest id + 1.
  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(tokens_.size()); }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };

  std::unordered_map<std::string, std::int64_t, Hash, std::equal_to<>> ids_;
  std::vector<std::optional<std::string>> tokens_;
};

}  // namespace twistor::text
