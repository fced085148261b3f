// Tokens that are found in the raw text before anything else: special tokens and user-defined ones.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace twistor::text {

struct AddedToken {
  std::string content;
  std::int64_t id = 0;
  bool is_special = false;   ///< control token such as end-of-text
  bool single_word = false;  ///< only where no word character touches it
  bool lstrip = false;       ///< swallows white space before it
  bool rstrip = false;       ///< swallows white space after it
  bool normalized = false;   ///< looked for in a second pass, between the tokens of the first
};

/// *Local*, immutable.
class AddedTokens {
 public:
  AddedTokens() = default;
  /// Contents must not be empty.
  explicit AddedTokens(std::vector<AddedToken> tokens);

  /// A part of a text: either one added token (id >= 0) or plain text between them (id -1).
  struct Part {
    std::string_view text;
    std::int64_t id = -1;
  };
  /// Leftmost-longest matches; every byte of the text is in exactly one part. Empty text gives no part.
  [[nodiscard]] std::vector<Part> split(std::string_view text) const;

  /// nullptr if the id is not one of them.
  [[nodiscard]] const AddedToken* find(std::int64_t id) const;
  [[nodiscard]] const std::vector<AddedToken>& tokens() const { return tokens_; }

 private:
  /// Tokens by first byte, longest first: indices into tokens_.
  using ByFirstByte = std::array<std::vector<std::size_t>, 256>;

  void split_pass(std::string_view text, const ByFirstByte& pass, std::vector<Part>& out) const;

  std::vector<AddedToken> tokens_;
  std::array<ByFirstByte, 2> passes_;  ///< raw, then normalized
  std::unordered_map<std::int64_t, std::size_t> by_id_;
};

}  // namespace twistor::text
