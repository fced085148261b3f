// The options of the potential, key by key from the two tables of names; and the prompt.
#include "twistor/app/target_options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <type_traits>

#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/config/paths.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/store/foreign_arrays.hpp"
#include "twistor/text/front.hpp"

namespace twistor::app {
namespace {

// Tokenizers name the token that stands for what they do not know by convention.
struct UnknownToken {
  std::string_view name;
  std::int64_t id;
};
std::optional<UnknownToken> unknown_token(const text::Tokenizer& tokenizer) {
  for (const std::string_view name : {"<unk>", "[UNK]", "<|unk|>", "<UNK>"})
    if (const auto id = tokenizer.token_to_id(name)) return UnknownToken{name, *id};
  return std::nullopt;
}

// The words, cut at blanks, that are not known: ", for instance 'x', 'y'"; empty if they cannot be told.
std::string unknown_words(std::string_view text, const text::Tokenizer& tokenizer, std::int64_t unknown_id) {
  constexpr std::string_view blanks = " \t\r\n";
  constexpr int most_words = 5;
  std::string out;
  for (int n = 0; n < most_words && !text.empty();) {
    text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
    const std::string_view word = text.substr(0, text.find_first_of(blanks));
    text.remove_prefix(word.size());
    if (word.empty() || std::ranges::count(tokenizer.encode(word), unknown_id) == 0) continue;
    out += fmt::format("{}{}", out.empty() ? ", for " : ", ", format::quote(word));
    ++n;
  }
  return out;
}

}  // namespace

potential::PotentialOptions target_options(const Config& config, const std::filesystem::path& config_file) {
  potential::PotentialOptions options = config.target;
  config::Fields fields;
  fields.add("target", options);
  for (const config::Field& field : fields) {
    if (!field.about.is_input) continue;
    std::string& path = *std::get<std::string*>(field.value);
    if (!path.empty()) path = config::input_path(path, config_file, field.key).string();
  }
  return options;
}

bool is_event(const TargetConfig& target) {
  const bool is_indicator =
      target.potential == "contains" || target.potential == "regex" || target.rule == "threshold";
  return is_indicator && target.log_floor == log_zero;
}

potential::TargetContext target_context(const Config& config, const model::LanguageModel* lm,
                                        const text::Tokenizer* tokenizer) {
  potential::TargetContext context;
  context.has_special_tokens = config.prompt.special_tokens != "none";
  context.lm = lm;
  context.tokenizer = tokenizer;
  context.read_arrays = [](const std::filesystem::path& file, std::span<const std::string> names) {
    std::vector<model::FloatArray> arrays;
    for (store::Array<float>& array : store::read_foreign_arrays(file, names))
      arrays.push_back({std::move(array.shape), std::move(array.values)});
    return arrays;
  };
  return context;
}

std::string describe_front(const text::Tokenizer& tokenizer) {
  const text::SpecialTokens special = tokenizer.special_tokens();
  std::string out;
  for (const std::int64_t id : special.before)
    out +=
        fmt::format("{}{} (id {})", out.empty() ? "" : ", ", format::quote(tokenizer.decode({&id, 1})), id);
  if (out.empty()) out = "nothing";
  return special.rule.empty() ? out : fmt::format("{}, by {}", out, special.rule);
}

std::vector<std::int64_t> encode_text(const text::Tokenizer& tokenizer, std::string_view text,
                                      std::string_view special_tokens) {
  return special_tokens == "none" ? tokenizer.encode(text) : text::encode_from_start(tokenizer, text);
}

Prompt read_prompt(const Config& config, const text::Tokenizer* tokenizer, std::int64_t vocab_size) {
  Prompt prompt{.ids = config.prompt.ids, .front = {}, .rule = {}};
  if (prompt.ids.empty()) {
    TWISTOR_CHECK(tokenizer != nullptr, ErrorKind::config, "reading prompt.text",
                  "the model has no tokenizer", "give prompt.ids instead");
    prompt.ids = encode_text(*tokenizer, config.prompt.text, config.prompt.special_tokens);
    if (config.prompt.special_tokens != "none" && text::has_front(*tokenizer, prompt.ids)) {
      prompt.front = tokenizer->special_tokens().before;
      prompt.rule = tokenizer->special_tokens().rule;
    }
  }
  TWISTOR_CHECK(!prompt.ids.empty(), ErrorKind::config, "reading the prompt", "it has no tokens",
                "give a longer prompt.text");
  for (const std::int64_t id : prompt.ids)
    TWISTOR_CHECK(id >= 0 && id < vocab_size, ErrorKind::config, "reading the prompt",
                  fmt::format("token id {} is out of range (vocabulary {})", id, vocab_size),
                  "correct prompt.ids");
  return prompt;
}

std::string unknown_token_warning(const Config& config, const text::Tokenizer* tokenizer,
                                  std::span<const std::int64_t> prompt) {
  const auto unknown = tokenizer == nullptr ? std::nullopt : unknown_token(*tokenizer);
  const auto n = unknown ? std::ranges::count(prompt, unknown->id) : 0;
  if (n == 0) return {};
  return fmt::format(
      "{} of the prompt's {} tokens {} the unknown token {} (id {}){}: the model cannot see what "
      "stands there; use words of its vocabulary, or another model",
      n, prompt.size(), n == 1 ? "is" : "are", unknown->name, unknown->id,
      unknown_words(config.prompt.text, *tokenizer, unknown->id));
}

}  // namespace twistor::app
