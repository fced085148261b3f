// SPDX-License-Identifier: Apache-2.0
// Turning the spellings of tokens into text: the decoders of tokenizer.json.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "twistor/format/json.hpp"

namespace twistor::text {

/// Rewrites tokens in place; the text is what they make one after another. Pure and thread-safe. Bytes that
/// form no UTF-8 are kept as they are, where the reference implementation writes U+FFFD: a token may be half
/// of a character.
using Decoder = std::function<void(std::vector<std::string>& tokens)>;

/// A kind of the "decoder" of a tokenizer.json. A new kind is one function and one line in the table of
/// src/text/decoder.cpp.
struct DecoderKind {
  std::string_view type;
  Decoder (*make)(const format::JsonView& json);
};

/// Throws Error(data) naming a kind that is not supported. *Local.*
[[nodiscard]] Decoder read_decoder(const format::JsonView& json);

/// Symbols of byte_symbols.hpp back to bytes; a token with any other character stays as it is.
[[nodiscard]] Decoder byte_level_decoder();
/// What goes with no decoder in the file: tokens with a space between them.
[[nodiscard]] Decoder spacing_decoder();
/// Words begin with a space, continuations with `prefix` and lose it; `cleanup` takes spaces before
/// punctuation away.
[[nodiscard]] Decoder word_piece_decoder(std::string prefix, bool cleanup);

}  // namespace twistor::text
