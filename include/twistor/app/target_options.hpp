// From a configuration to what defines its target: the prompt, and the options of the potential.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
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
[[nodiscard]] potential::TargetContext target_context(const model::LanguageModel* lm,
                                                      const text::Tokenizer* tokenizer);

/// The tokens of prompt.ids or prompt.text. *Local.* Throws Error(config) if there are none, if one is not
/// below vocab_size, or if a text is given and no tokenizer.
[[nodiscard]] std::vector<std::int64_t> prompt_ids(const Config& config, const text::Tokenizer* tokenizer,
                                                   std::int64_t vocab_size);

/// What to warn of if the prompt holds the tokenizer's unknown token, which stands for words that the model
/// cannot see; else empty. *Local.* The tokenizer may be null.
[[nodiscard]] std::string unknown_token_warning(const Config& config, const text::Tokenizer* tokenizer,
                                                std::span<const std::int64_t> prompt);

}  // namespace twistor::app
