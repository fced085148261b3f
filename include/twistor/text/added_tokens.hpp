// SPDX-License-Identifier: Apache-2.0
// Tokens that are found in a text before it is cut into pieces: special tokens and user-defined ones.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "twistor/text/normalizer.hpp"
#include "twistor/text/trie.hpp"

namespace twistor::text {

struct AddedToken {
  std::string content;
  std::int64_t id = 0;
  bool is_special = false;   ///< control token such as end-of-text
  bool single_word = false;  ///< only where no word character touches it
  bool lstrip = false;       ///< swallows white space before it
  bool rstrip = false;       ///< swallows white space after it
  bool normalized = false;   ///< looked for in the normalized text, by its own normalized form
};

/// *Local*, immutable.
class AddedTokens {
 public:
  AddedTokens() = default;
  /// Contents must not be empty. A token of which the normalizer leaves nothing is never found.
  explicit AddedTokens(std::vector<AddedToken> tokens, const Normalizer& normalizer = {});

  /// A part of a text: either one added token (id >= 0) or plain text between them (id -1).
  struct Part {
    std::string_view text;
    std::int64_t id = -1;
  };
  /// Leftmost-longest matches in the raw text of those tokens that are not `normalized`. Every byte is in one
  /// part at least; empty text gives no part.
  [[nodiscard]] std::vector<Part> split_raw(std::string_view text) const { return split(text, raw_); }
  /// The same in normalized text, for the others.
  [[nodiscard]] std::vector<Part> split_normalized(std::string_view text) const {
    return split(text, normalized_);
  }

  /// How decoding spells a token: as it is found, so a normalized one in its normalized form. nullptr if the
  /// id is not one of them.
  [[nodiscard]] const std::string* spelling(std::int64_t id) const;
  [[nodiscard]] const std::vector<AddedToken>& tokens() const { return tokens_; }

 private:
  /// The values of a trie are indices into tokens_.
  [[nodiscard]] std::vector<Part> split(std::string_view text, const Trie& trie) const;

  std::vector<AddedToken> tokens_;
  std::vector<std::string> forms_;  ///< of each token
  Trie raw_;
  Trie normalized_;
  std::unordered_map<std::int64_t, std::size_t> by_id_;
};

}  // namespace twistor::text
