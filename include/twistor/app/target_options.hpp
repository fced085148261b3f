// From a configuration to what defines its target: the prompt, and the options of the potential.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "twistor/app/config.hpp"
#include "twistor/potential/registry.hpp"
#include "twistor/text/tokenizer.hpp"

namespace twistor::app {

/// The potential of the target, with the files and folders that it names found (config::input_path()).
/// *Local.*
[[nodiscard]] potential::PotentialOptions target_options(const Config& config,
                                                         const std::filesystem::path& config_file);

/// Whether phi is 0 or 1, so that Z is the probability of an event. *Local.*
[[nodiscard]] bool is_event(const TargetConfig& target);

/// What a potential may look at, readers of files included. Either may be null.
[[nodiscard]] potential::TargetContext target_context(const Config& config, const model::LanguageModel* lm,
                                                      const text::Tokenizer* tokenizer);

/// What a tokenizer puts in front of texts, in words: "<s> (id 1), by the post_processor of tokenizer.json";
/// "nothing" and, perhaps, the rule. *Local.*
[[nodiscard]] std::string describe_front(const text::Tokenizer& tokenizer);

/// The tokens of a text that a model reads from its start; `special_tokens` is auto or none, as
/// prompt.special_tokens. *Local.*
[[nodiscard]] std::vector<std::int64_t> encode_text(const text::Tokenizer& tokenizer, std::string_view text,
                                                    std::string_view special_tokens);

/// The tokens of prompt.ids or prompt.text. `front` is what they begin with by prompt.special_tokens.
/// *Local.* Throws Error(config) if there are none, if one is not below vocab_size, or if a text is given and
/// no tokenizer.
struct Prompt {
  std::vector<std::int64_t> ids, front;
  std::string rule;  ///< of the tokenizer, that put `front` there; empty: none
};
[[nodiscard]] Prompt read_prompt(const Config& config, const text::Tokenizer* tokenizer,
                                 std::int64_t vocab_size);

/// What to warn of if the prompt holds the tokenizer's unknown token, which stands for words that the model
/// cannot see; else empty. *Local.* The tokenizer may be null.
[[nodiscard]] std::string unknown_token_warning(const Config& config, const text::Tokenizer* tokenizer,
                                                std::span<const std::int64_t> prompt);

}  // namespace twistor::app
