// What the potential of a configuration may look at.
#pragma once

#include "twistor/app/config.hpp"
#include "twistor/potential/registry.hpp"
#include "twistor/text/tokenizer.hpp"

namespace twistor::app {

/// Readers of files included. Either may be null.
[[nodiscard]] potential::TargetContext target_context(const Config& config, const model::LanguageModel* lm,
                                                      const text::Tokenizer* tokenizer);

}  // namespace twistor::app
