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

int score(const Invocation& invocation) {
  const std::filesystem::path& path = invocation.paths.front();
  const std::string doing = "scoring with " + path.string();
  const bool is_masked = invocation.padded_tokens == model::PaddedTokens::mask;
  std::unique_ptr<text::Tokenizer> tokenizer;
  std::vector<std::int64_t> ids = invocation.ids;
  if (ids.empty()) {
    tokenizer = text::need_tokenizer(path, doing);
    ids = text::encode_text(*tokenizer, invocation.texts.back(), invocation.special_tokens);
  } else if (is_masked) {
    tokenizer = text::load_tokenizer(path);
  }
  TWISTOR_CHECK(!ids.empty(), ErrorKind::usage, doing, "the text has no tokens", "give a longer text");
  model::LoadOptions options;
  options.precision = invocation.dtype;
  options.adapter = invocation.adapter;
  options.context = static_cast<std::int64_t>(ids.size());
  std::shared_ptr<const model::LanguageModel> lm = model::load_language_model(path, options);
  if (is_masked && tokenizer != nullptr) lm = model::mask_padded_tokens(std::move(lm), *tokenizer);
  const std::vector<double> log_probs = model::score(*lm, ids);
  fmt::print("{}\n", report::JsonLine()
                         .add("ids", std::span<const std::int64_t>(ids))
                         .add("log_probs", std::span<const double>(log_probs))
                         .text());
  return 0;
}

}  // namespace twistor::app
