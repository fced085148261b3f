// The special tokens in front of texts: a model that was trained with them knows no text without.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "twistor/text/tokenizer.hpp"

namespace twistor::text {

/// Whether ids begin with all that the tokenizer puts in front of a text; false if it puts nothing there.
/// *Local.*
[[nodiscard]] bool has_front(const Tokenizer& tokenizer, std::span<const std::int64_t> ids);

/// The ids of a text that a model reads from its start: with the special tokens that the tokenizer puts in
/// front, unless the text spells them out itself; nothing is put behind, where more may follow. *Local.*
[[nodiscard]] std::vector<std::int64_t> encode_from_start(const Tokenizer& tokenizer, std::string_view text);

/// The same ids without what the tokenizer put in front: those of the text that people read. *Local.*
[[nodiscard]] std::span<const std::int64_t> without_front(const Tokenizer& tokenizer,
                                                          std::span<const std::int64_t> ids);

}  // namespace twistor::text
