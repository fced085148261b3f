// SPDX-License-Identifier: Apache-2.0
// `twistor tokenize`: the ids of a text, or of messages.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <limits>

#include "twistor/app/commands.hpp"
#include "twistor/report/json_line.hpp"
#include "twistor/text/chat_template.hpp"
#include "twistor/text/tokenizer.hpp"

namespace twistor::app {

int tokenize(const Invocation& invocation) {
  const std::filesystem::path& model = invocation.paths.front();
  const auto tokenizer = text::need_tokenizer(model, "tokenizing with " + model.string());
  if (!invocation.messages.empty()) {
    const std::string rendered = text::load_chat_template(model).render(invocation.messages);
    const std::vector<std::int64_t> ids = tokenizer->encode(rendered);
    fmt::print("{}\n", report::JsonLine().add("text", rendered).add("ids", std::span(ids)).text());
    return 0;
  }
  const std::string& given = invocation.texts.back();
  const auto ids = invocation.is_special
                       ? tokenizer->encode_with_template(given, std::numeric_limits<std::int64_t>::max()).ids
                       : tokenizer->encode(given);
  fmt::print("[{}]\n", fmt::join(ids, ", "));
  return 0;
}

}  // namespace twistor::app
