// `twistor score-text`: what the potential of a configuration says of given texts.
#include <fmt/format.h>

#include "twistor/app/commands.hpp"
#include "twistor/app/target_options.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/log.hpp"
#include "twistor/config/paths.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/format/text_lines.hpp"
#include "twistor/model/load.hpp"
#include "twistor/model/masked_tokens.hpp"
#include "twistor/potential/registry.hpp"
#include "twistor/report/json_line.hpp"
#include "twistor/text/prompt.hpp"

namespace twistor::app {
namespace {

// Makes the potential with no more than it needs, and asks it.
class Scoring {
 public:
  explicit Scoring(const Invocation& invocation)
      : config_(invocation.config),
        options_(potential::with_inputs_found(config_.target, invocation.config_file)) {
    options_.length = 0;  // texts have their own
    if (potential::needs_language_model(options_.potential)) load(invocation.config_file, true);
    scorer_ = potential::make_text_scorer(options_, context());
    if (scorer_ != nullptr) return;
    if (tokenizer_ == nullptr) load(invocation.config_file, false);
    potential_ = potential::make_potential(options_, context());
    const PromptConfig& prompt = config_.prompt;
    prompt_ = text::read_prompt(prompt.ids, prompt.text, prompt.special_tokens, tokenizer_.get(),
                                context().vocab_size())
                  .ids;
    const std::string warning = text::unknown_token_warning(prompt.text, prompt_, tokenizer_.get());
    if (!warning.empty()) log_warning(warning);
  }

  [[nodiscard]] std::string description() const {
    return scorer_ != nullptr ? scorer_->description() : potential_->description();
  }

  // (n) of texts.
  [[nodiscard]] std::vector<double> log_phi(const std::vector<std::string>& texts) const {
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

 private:
  [[nodiscard]] potential::TargetContext context() const {
    return target_context(config_, lm_.get(), tokenizer_.get());
  }

  void load(const std::filesystem::path& config_file, bool with_lm) {
    const auto path = config::input_path(config_.model.path, config_file, "model.path");
    tokenizer_ = text::load_tokenizer(path);
    TWISTOR_CHECK(tokenizer_ != nullptr, ErrorKind::config, "making the potential",
                  "the model has no tokenizer, which scoring texts needs",
                  "put the model's tokenizer.json beside it");
    if (!with_lm) return;
    model::LoadOptions options;
    options.precision = config_.model.dtype;
    lm_ = model::load_language_model(path, options);
    if (config_.model.padded_tokens == model::PaddedTokens::mask)
      lm_ = model::mask_padded_tokens(std::move(lm_), *tokenizer_);
  }

  const Config& config_;
  potential::PotentialOptions options_;
  std::shared_ptr<const model::LanguageModel> lm_;
  std::unique_ptr<text::Tokenizer> tokenizer_;
  std::unique_ptr<potential::TextScorer> scorer_;    // for potentials of text,
  std::unique_ptr<potential::Potential> potential_;  // for those of tokens
  std::vector<std::int64_t> prompt_;
};

}  // namespace

int score_text(const Invocation& invocation) {
  const std::vector<std::string> texts =
      invocation.texts_file.empty() ? invocation.texts : format::read_texts(invocation.texts_file);
  const Scoring scoring(invocation);
  const std::vector<double> values = scoring.log_phi(texts);
  if (!invocation.is_json) fmt::print("{}\n", scoring.description());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (invocation.is_json)
      fmt::print("{}\n", report::JsonLine().add("text", texts[i]).add("log_phi", values[i]).text());
    else
      fmt::print("{:12.6f}  {}\n", values[i], format::quote(texts[i]));
  }
  return 0;
}

}  // namespace twistor::app
