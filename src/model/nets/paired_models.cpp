// SPDX-License-Identifier: Apache-2.0
// Loading, comparing and joining two models.
#include "twistor/model/paired_models.hpp"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "twistor/base/error.hpp"
#include "twistor/model/absorbing.hpp"
#include "twistor/model/joined_model.hpp"
#include "twistor/text/same_vocabulary.hpp"

namespace twistor::model {

PairedModels pair_models(const std::shared_ptr<const LanguageModel>& base,
                         std::shared_ptr<const LanguageModel> other, std::int64_t n_prompt) {
  const std::shared_ptr<const LanguageModel> both = join(base, std::move(other), n_prompt);
  const auto* const joined = dynamic_cast<const JoinedModel*>(&both->without_end());
  TWISTOR_ASSERT(joined != nullptr, "what is joined is a joined model, or ends one");
  std::shared_ptr<const LanguageModel> member =
      std::make_shared<const MemberModel>(std::shared_ptr<const JoinedModel>(both, joined), 1);
  if (base->end_rule().can_end())
    member = std::make_shared<const AbsorbingModel>(std::move(member), base->end_rule(), n_prompt);
  return {both, std::move(member)};
}

PairedModels load_beside(const std::filesystem::path& path, const LoadOptions& options,
                         const PairOptions& pair) {
  const std::string doing = "comparing the vocabulary of " + path.string() + " with the base model's";
  std::shared_ptr<const LanguageModel> other = load_language_model(path, options);
  const std::int64_t v = pair.base->vocab_size();
  const std::unique_ptr<text::Tokenizer> tokenizer = text::load_tokenizer(path);
  if (pair.tokenizer != nullptr && tokenizer != nullptr) {
    const std::string difference = text::first_difference(*pair.tokenizer, *tokenizer);
    TWISTOR_CHECK(difference.empty(), ErrorKind::data, doing, difference,
                  "a policy is a model of the base model's own vocabulary");
  }
  TWISTOR_CHECK(other->vocab_size() == v, ErrorKind::data, doing,
                fmt::format("the base model has {} logits, this one {}", v, other->vocab_size()),
                "a policy is a model of the base model's own vocabulary, with equally many rows");
  const text::Tokenizer* const known = tokenizer != nullptr ? tokenizer.get() : pair.tokenizer;
  if (known != nullptr && pair.padded_tokens == PaddedTokens::mask)
    other = mask_padded_tokens(std::move(other), *known);
  return pair_models(pair.base, std::move(other), pair.n_prompt);
}

}  // namespace twistor::model
