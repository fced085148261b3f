// SPDX-License-Identifier: Apache-2.0
// `twistor score`: the log-probability of every token of a text.
#include <fmt/format.h>

#include "twistor/app/commands.hpp"
#include "twistor/base/error.hpp"
#include "twistor/model/language_model.hpp"
#include "twistor/model/load.hpp"
#include "twistor/model/masked_tokens.hpp"
#include "twistor/report/json_line.hpp"
#include "twistor/text/front.hpp"
#include "twistor/text/tokenizer.hpp"

namespace twistor::app {
namespace {

std::vector<std::int64_t> ids_of(const Invocation& invocation, const text::Tokenizer* tokenizer,
                                 const std::string& doing) {
  if (!invocation.ids.empty()) return invocation.ids;
  TWISTOR_CHECK(tokenizer != nullptr, ErrorKind::no_input, doing, "the folder has no tokenizer",
                "give token ids: --ids 1,2,3");
  return text::encode_text(*tokenizer, invocation.texts.back(), invocation.special_tokens);
}

}  // namespace

int score(const Invocation& invocation) {
  const std::string doing = fmt::format("scoring with {}", invocation.paths.front().string());
  const bool is_masked = invocation.padded_tokens == model::PaddedTokens::mask;
  std::unique_ptr<text::Tokenizer> tokenizer;
  if (is_masked || invocation.ids.empty()) tokenizer = text::load_tokenizer(invocation.paths.front());
  const std::vector<std::int64_t> ids = ids_of(invocation, tokenizer.get(), doing);
  TWISTOR_CHECK(!ids.empty(), ErrorKind::usage, doing, "the text has no tokens", "give a longer text");
  model::LoadOptions options;
  options.precision = invocation.dtype;
  std::shared_ptr<const model::LanguageModel> lm =
      model::load_language_model(invocation.paths.front(), options);
  if (is_masked && tokenizer != nullptr) lm = model::mask_padded_tokens(std::move(lm), *tokenizer);
  const std::vector<double> log_probs = model::score(*lm, ids);
  fmt::print("{}\n", report::JsonLine()
                         .add("ids", std::span<const std::int64_t>(ids))
                         .add("log_probs", std::span<const double>(log_probs))
                         .text());
  return 0;
}

}  // namespace twistor::app
