// SPDX-License-Identifier: Apache-2.0
// The base model and another of the same vocabulary, which read the same texts: a policy beside p0.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "twistor/model/language_model.hpp"
#include "twistor/model/load.hpp"
#include "twistor/model/masked_tokens.hpp"
#include "twistor/text/tokenizer.hpp"

namespace twistor::model {

/// Two models with the same hidden states and caches.
struct PairedModels {
  std::shared_ptr<const LanguageModel> base;   ///< has the logits of the base model
  std::shared_ptr<const LanguageModel> other;  ///< has those of the other
};

/// `base` may end texts; then both do. Prompts have n_prompt tokens. *Local.* Throws as JoinedModel.
[[nodiscard]] PairedModels pair_models(const std::shared_ptr<const LanguageModel>& base,
                                       std::shared_ptr<const LanguageModel> other, std::int64_t n_prompt);

/// The base model, and what another must agree with.
struct PairOptions {
  std::shared_ptr<const LanguageModel> base;
  const text::Tokenizer* tokenizer = nullptr;  ///< nullptr: only sizes are compared
  PaddedTokens padded_tokens = PaddedTokens::mask;
  std::int64_t n_prompt = 1;
};

/// Loads a model and pairs it with the base model. Throws as load_language_model(), and Error(data) naming
/// the first token that the other's tokenizer spells in another way.
[[nodiscard]] PairedModels load_beside(const std::filesystem::path& path, const LoadOptions& options,
                                       const PairOptions& pair);

}  // namespace twistor::model
