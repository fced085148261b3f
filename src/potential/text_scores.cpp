// SPDX-License-Identifier: Apache-2.0
// Scores of given texts.
#include "twistor/potential/text_scores.hpp"

#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/potential/option_values.hpp"

namespace twistor::potential {

TextScores::TextScores(PotentialOptions options, ScoringInputs inputs, TargetContext context)
    : context_(std::move(context)) {
  options.length = 0;  // texts have their own
  if (needs_language_model(options.potential)) load(inputs, true);
  scorer_ = make_text_scorer(options, context_);
  if (scorer_ != nullptr && options.scope != name_of(TextScope::pair)) return;
  if (!options.question.empty()) {
    question_ = options.question;
    return;
  }
  if (tokenizer_ == nullptr) load(inputs, false);
  if (scorer_ == nullptr) potential_ = make_potential(options, context_);
  read_prompt(inputs);
  if (scorer_ != nullptr) question_ = decoded_prompt(prompt_, *tokenizer_);
}

void TextScores::read_prompt(const ScoringInputs& inputs) {
  const text::Prompt prompt =
      text::read_prompt(inputs.prompt, tokenizer_.get(), context_.vocab_size(), inputs.model());
  prompt_ = prompt.ids;
  warning_ = text::unknown_token_warning(prompt.text, prompt_, tokenizer_.get());
}

void TextScores::load(const ScoringInputs& inputs, bool with_lm) {
  const std::filesystem::path path = inputs.model();
  tokenizer_ = text::load_tokenizer(path);
  TWISTOR_CHECK(tokenizer_ != nullptr, ErrorKind::config, "making the potential",
                "the model has no tokenizer, which scoring texts needs",
                "put the model's tokenizer.json beside it");
  context_.tokenizer = tokenizer_.get();
  if (!with_lm) return;
  model::LoadOptions options;
  options.precision = inputs.precision;
  options.context = inputs.context;
  lm_ = model::load_language_model(path, options);
  if (inputs.padded_tokens == model::PaddedTokens::mask)
    lm_ = model::mask_padded_tokens(std::move(lm_), *tokenizer_);
  context_.lm = lm_.get();
}

std::string TextScores::description() const {
  return scorer_ != nullptr ? scorer_->description() : potential_->description();
}

std::vector<double> TextScores::log_phi(const std::vector<std::string>& texts) const {
  if (question_) return scorer_->log_phi_of_answers(*question_, texts);
  if (scorer_ != nullptr) return scorer_->log_phi(texts);
  std::vector<double> values;
  for (const std::string& text : texts) {
    const auto ids = tokenizer_->encode(text);
    TWISTOR_CHECK(!ids.empty(), ErrorKind::usage, "scoring the text " + format::quote(text),
                  "it has no tokens", "give a longer text");
    values.push_back(potential_->log_phi({prompt_, ids, static_cast<std::int64_t>(ids.size())}).front());
  }
  return values;
}

}  // namespace twistor::potential
