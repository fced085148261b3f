// `twistor tokenize`: the ids of a text.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "twistor/app/commands.hpp"
#include "twistor/base/error.hpp"
#include "twistor/text/tokenizer.hpp"

namespace twistor::app {

int tokenize(const Invocation& invocation) {
  const auto tokenizer = text::load_tokenizer(invocation.path);
  TWISTOR_CHECK(tokenizer != nullptr, ErrorKind::no_input,
                fmt::format("tokenizing with {}", invocation.path.string()), "the folder has no tokenizer",
                "expected tokenizer.json, or vocab.json with merges.txt, beside the model");
  fmt::print("[{}]\n", fmt::join(tokenizer->encode(invocation.text.value()), ", "));
  return 0;
}

}  // namespace twistor::app
