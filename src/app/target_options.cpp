// SPDX-License-Identifier: Apache-2.0
// Giving potentials what other rooms have.
#include "twistor/app/target_options.hpp"

#include "twistor/store/foreign_arrays.hpp"

namespace twistor::app {

potential::TargetContext target_context(const Config& config, const model::LanguageModel* lm,
                                        const text::Tokenizer* tokenizer) {
  potential::TargetContext context;
  context.has_special_tokens = config.prompt.special_tokens != text::FrontTokens::none;
  context.lm = lm;
  context.tokenizer = tokenizer;
  context.read_arrays = [](const std::filesystem::path& file, std::span<const std::string> names) {
    return store::read_foreign_arrays(file, names);
  };
  return context;
}

}  // namespace twistor::app
