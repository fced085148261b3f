// The special tokens in front of texts: a model that was trained with them knows no text without.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "twistor/base/names.hpp"
#include "twistor/text/tokenizer.hpp"

namespace twistor::text {

/// What is put in front of a text.
enum class FrontTokens {
  automatic,  ///< what the tokenizer says
  none,
};
constexpr auto names_of(FrontTokens) {
  return std::array{Named{FrontTokens::automatic, "auto"}, Named{FrontTokens::none, "none"}};
}

/// Whether ids begin with all that the tokenizer puts in front of a text; false if it puts nothing there.
/// *Local.*
[[nodiscard]] bool has_front(const Tokenizer& tokenizer, std::span<const std::int64_t> ids);

/// The ids of a text that a model reads from its start: with the special tokens that the tokenizer puts in
/// front, unless the text spells them out itself; nothing is put behind, where more may follow. *Local.*
[[nodiscard]] std::vector<std::int64_t> encode_from_start(const Tokenizer& tokenizer, std::string_view text);

/// encode_from_start(), or the text's own tokens alone. *Local.*
[[nodiscard]] std::vector<std::int64_t> encode_text(const Tokenizer& tokenizer, std::string_view text,
                                                    FrontTokens front);

/// What a tokenizer puts in front of texts, in words: "<s> (id 1), by the post_processor of tokenizer.json";
/// "nothing" and, perhaps, the rule. *Local.*
[[nodiscard]] std::string describe_front(const Tokenizer& tokenizer);

/// The same ids without what the tokenizer put in front: those of the text that people read. *Local.*
[[nodiscard]] std::span<const std::int64_t> without_front(const Tokenizer& tokenizer,
                                                          std::span<const std::int64_t> ids);

}  // namespace twistor::text
