// `twistor score-text`: what the potential of a configuration says of given texts.
#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "twistor/app/commands.hpp"
#include "twistor/app/target_options.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/log.hpp"
#include "twistor/config/paths.hpp"
#include "twistor/format/json.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/model/load.hpp"
#include "twistor/model/masked_tokens.hpp"
#include "twistor/potential/registry.hpp"

namespace twistor::app {
namespace {

std::string text_of_json(const std::string& line, const std::string& doing) {
  const nlohmann::json json = format::parse_json(line, doing);
  const format::JsonView view(json, doing);
  return view.is_object() ? view.at("text").string() : view.string();
}

std::vector<std::string> read_texts(const std::filesystem::path& path) {
  const std::string doing = fmt::format("reading texts from {}", path.string());
  std::ifstream file(path, std::ios::binary);
  TWISTOR_CHECK(file.is_open() && !std::filesystem::is_directory(path), ErrorKind::no_input, doing,
                "expected a file that can be read", "check --file");
  std::vector<std::string> texts;
  std::string line;
  for (std::int64_t number = 1; std::getline(file, line); ++number) {
    if (line.ends_with('\r')) line.pop_back();
    texts.push_back(
        path.extension() == ".jsonl" ? text_of_json(line, fmt::format("{}, line {}", doing, number)) : line);
  }
  TWISTOR_CHECK(!file.bad(), ErrorKind::no_input, doing, "reading stopped before the end of the file");
  TWISTOR_CHECK(!texts.empty(), ErrorKind::data, doing, "there is no text in it");
  return texts;
}

// Makes the potential with no more than it needs, and asks it.
class Scoring {
 public:
  explicit Scoring(const Invocation& invocation)
      : config_(invocation.config), options_(target_options(config_, invocation.config_file)) {
    options_.length = 0;  // texts have their own
    if (potential::needs_language_model(options_.potential)) load(invocation.config_file, true);
    scorer_ = potential::make_text_scorer(options_, context());
    if (scorer_ != nullptr) return;
    if (tokenizer_ == nullptr) load(invocation.config_file, false);
    potential_ = potential::make_potential(options_, context());
    prompt_ = read_prompt(config_, tokenizer_.get(), context().vocab_size()).ids;
    const std::string warning = unknown_token_warning(config_, tokenizer_.get(), prompt_);
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
    options.precision = from_name<device::Precision>(config_.model.dtype, "model.dtype");
    lm_ = model::load_language_model(path, options);
    if (config_.model.padded_tokens != "keep") lm_ = model::mask_padded_tokens(std::move(lm_), *tokenizer_);
  }

  const Config& config_;
  potential::PotentialOptions options_;
  std::unique_ptr<model::LanguageModel> lm_;
  std::unique_ptr<text::Tokenizer> tokenizer_;
  std::unique_ptr<potential::TextScorer> scorer_;    // for potentials of text,
  std::unique_ptr<potential::Potential> potential_;  // for those of tokens
  std::vector<std::int64_t> prompt_;
};

}  // namespace

int score_text(const Invocation& invocation) {
  const std::vector<std::string> texts =
      invocation.texts_file.empty() ? invocation.texts : read_texts(invocation.texts_file);
  const Scoring scoring(invocation);
  const std::vector<double> values = scoring.log_phi(texts);
  if (!invocation.is_json) fmt::print("{}\n", scoring.description());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (!invocation.is_json) {
      fmt::print("{:12.6f}  {}\n", values[i], format::quote(texts[i]));
      continue;
    }
    nlohmann::ordered_json json;
    json["text"] = texts[i];
    json["log_phi"] = values[i];  // written so that it reads back to the same bits
    if (std::isinf(values[i])) json["log_phi"] = "-inf";
    fmt::print("{}\n", json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  }
  return 0;
}

}  // namespace twistor::app
