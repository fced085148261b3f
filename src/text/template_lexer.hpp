// SPDX-License-Identifier: Apache-2.0
// A chat template as tokens: text between tags, and what stands inside them. Private to the text room.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace twistor::text::chat {

enum class TokenKind {
  text,
  output_begin,
  output_end,
  tag_begin,
  tag_end,
  name,
  string,
  integer,
  number,
  sign,
  end
};

struct Token {
  TokenKind kind = TokenKind::end;
  std::string value;  ///< of text and strings what they stand for, without escapes
  int line = 1;
};

/// Blanks around tags go as in transformers: trim_blocks and lstrip_blocks of Jinja are on, a '-' takes all
/// white space on its side and a '+' keeps it, comments vanish, and one line end at the end of the source
/// does too. Throws TemplateProblem, with the line in its text.
[[nodiscard]] std::vector<Token> tokens_of_template(std::string_view source);

}  // namespace twistor::text::chat
