// SPDX-License-Identifier: Apache-2.0
// `twistor tokenize`: the ids of a text.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <limits>

#include "twistor/app/commands.hpp"
#include "twistor/base/error.hpp"
#include "twistor/text/tokenizer.hpp"

namespace twistor::app {

int tokenize(const Invocation& invocation) {
  const auto tokenizer = text::load_tokenizer(invocation.paths.front());
  TWISTOR_CHECK(tokenizer != nullptr, ErrorKind::no_input,
                fmt::format("tokenizing with {}", invocation.paths.front().string()),
                "the folder has no tokenizer",
                "expected tokenizer.json, vocab.json with merges.txt, or vocab.txt, beside the model");
  const std::string& given = invocation.texts.back();
  const auto ids = invocation.is_special
                       ? tokenizer->encode_with_template(given, std::numeric_limits<std::int64_t>::max()).ids
                       : tokenizer->encode(given);
  fmt::print("[{}]\n", fmt::join(ids, ", "));
  return 0;
}

}  // namespace twistor::app
