// Cutting a text into the pieces that a token model may not join: hand-written scanners over Unicode classes.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "twistor/text/json.hpp"

namespace twistor::text {

/// One way of cutting. The scanners equal these regular expressions over Unicode classes, invalid bytes
/// counting as \p{C}.
enum class CutStep {
  gpt2,              ///< 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
  each_digit,        ///< every \p{N} by itself
  digit_runs,        ///< \p{N}+
  words,             ///< \w+|[^\w\s]+, white space removed
  white_space,       ///< cut at white space, which is removed
  add_prefix_space,  ///< no cut: a space is put before a piece that does not begin with one
  byte_symbols,      ///< no cut: every byte by its symbol of byte_symbols.hpp
};

/// Steps one after another, each inside the pieces of the one before. *Local*, immutable.
class PreTokenizer {
 public:
  PreTokenizer() = default;
  explicit PreTokenizer(std::vector<CutStep> steps) : steps_(std::move(steps)) {}

  /// From the "pre_tokenizer" of a tokenizer.json. Throws Error(data) naming a kind or a pattern that is not
  /// supported.
  [[nodiscard]] static PreTokenizer from_json(const JsonView& json);

  /// Leaves the spelling of bytes to the model if that is the last step; false if it is not.
  [[nodiscard]] bool release_byte_symbols();

  /// The pieces in order, none empty. They view `text` or strings kept in `storage`.
  [[nodiscard]] std::vector<std::string_view> split(std::string_view text,
                                                    std::deque<std::string>& storage) const;

 private:
  std::vector<CutStep> steps_;
};

}  // namespace twistor::text
