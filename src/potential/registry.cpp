// SPDX-License-Identifier: Apache-2.0
// The registry of potentials. A new kind: one header, one source, one line in the table here.
#include "twistor/potential/registry.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string_view>
#include <variant>

#include "kinds/classifier.hpp"
#include "kinds/contains.hpp"
#include "kinds/continuation.hpp"
#include "kinds/judge.hpp"
#include "kinds/keywords.hpp"
#include "kinds/lexicon.hpp"
#include "kinds/linear_head.hpp"
#include "kinds/plugin.hpp"
#include "kinds/power.hpp"
#include "kinds/process.hpp"
#include "kinds/product.hpp"
#include "kinds/regex.hpp"
#include "kinds/reward.hpp"
#include "kinds/similarity.hpp"
#include "kinds/token_scores.hpp"
#include "kinds/toxicity_bilstm.hpp"
#include "twistor/base/digest.hpp"
#include "twistor/base/error.hpp"
#include "twistor/potential/checked_potential.hpp"

namespace twistor::potential {
namespace {

using PotentialMaker = std::unique_ptr<Potential> (*)(const PotentialOptions&, const TargetContext&);
using ScorerMaker = std::unique_ptr<TextScorer> (*)(const PotentialOptions&, const TargetContext&);

struct Kind {
  std::string_view name;
  std::variant<PotentialMaker, ScorerMaker> make;
  std::vector<std::string_view> reads;  // besides length, and scope where a scorer is made
  bool needs_lm = false;
  PotentialMaker make_of_tokens = nullptr;  // where `make` gives no scorer
};

const std::vector<Kind>& kinds() {
  // Sorted by name.
  static const std::vector<Kind> table = {
      {"classifier",
       make_classifier,
       {"classifier", "class", "negate", "rule", "threshold", "log_floor", "beta", "dtype", "question"}},
      {"contains", make_contains, {"words", "ids", "log_floor", "beta"}},
      {"continuation", make_continuation, {"text", "ids", "beta"}, true},
      {"judge", make_judge, {"template", "answer", "beta"}, true},
      {"keywords", make_keywords, {"all_of", "any_of", "none_of", "log_floor", "beta"}},
      {"lexicon", make_lexicon, {"lexicon", "mode", "cap", "beta"}},
      {"linear_head",
       make_linear_head,
       {"encoder", "head", "class", "negate", "rule", "threshold", "log_floor", "beta", "dtype"}},
      {"plugin", make_plugin_of_texts, {"plugin", "plugin_options", "beta"}, false, make_plugin_of_tokens},
      {"power", make_power, {"alpha"}, true},
      {"process", make_process, {"command", "timeout_s", "cap", "beta"}},
      {"product", make_product, {"factors"}, true},
      {"regex", make_regex, {"pattern", "log_floor", "beta"}},
      {"reward", make_reward, {"classifier", "class", "cap", "beta", "dtype", "messages", "question"}},
      {"similarity", make_similarity, {"encoder", "text", "beta", "dtype"}},
      {"tokens", make_token_scores, {"table", "scores", "mode", "beta"}},
      {"toxicity_bilstm",
       make_toxicity_bilstm,
       {"classifier", "class", "negate", "rule", "threshold", "log_floor", "beta"}},
  };
  return table;
}

void require_only_what_is_read(const Kind& kind, const PotentialOptions& options, const std::string& doing) {
  std::vector<std::string_view> read = kind.reads;
  if (std::holds_alternative<ScorerMaker>(kind.make)) read.push_back("scope");
  for (const std::string& key : keys_that_are_set(options))
    TWISTOR_CHECK(key == "potential" || std::ranges::find(read, key) != read.end(), ErrorKind::config, doing,
                  fmt::format("target.{} is set, but this potential does not read it (it reads {})", key,
                              fmt::join(read, ", ")),
                  fmt::format("leave target.{} as it is by default", key));
}

std::string doing_with(std::string_view name) {
  return fmt::format("making the potential '{}'", name);
}

TextScope scope_of(const PotentialOptions& options) {
  return from_name<TextScope>(options.scope, "target.scope", doing_with(options.potential));
}

/// `scorer` may be null, where a kind looks at tokens.
void require_pairs_where_asked(const PotentialOptions& options, const TextScorer* scorer) {
  const bool is_asked = scope_of(options) == TextScope::pair;
  TWISTOR_CHECK(is_asked || options.question.empty(), ErrorKind::config, doing_with(options.potential),
                fmt::format("target.question is given, and target.scope = {}", options.scope),
                "set target.scope = pair");
  TWISTOR_CHECK(
      !is_asked || (scorer != nullptr && scorer->reads_pairs()), ErrorKind::config,
      doing_with(options.potential),
      "target.scope = pair, and the potential reads no prompt and answer as a pair",
      "encoders whose tokenizer has a form for pairs do (reward, classifier); set target.scope = all, "
      "or generation with target.messages for a reward model on a decoder");
}

const Kind& find_kind(std::string_view name) {
  const auto kind = std::ranges::find(kinds(), name, &Kind::name);
  TWISTOR_CHECK(kind != kinds().end(), ErrorKind::config, doing_with(name),
                fmt::format("there is no such potential (known: {})", fmt::join(potential_names(), ", ")),
                "set target.potential to one of them");
  return *kind;
}

/// The kind that the options ask for, after the checks that all kinds have in common.
const Kind& checked_kind(const PotentialOptions& options) {
  const Kind& kind = find_kind(options.potential);
  const std::string doing = doing_with(kind.name);
  TWISTOR_CHECK(std::isfinite(options.beta), ErrorKind::config, doing,
                fmt::format("target.beta is {} (expected a finite number)", options.beta));
  require_only_what_is_read(kind, options, doing);
  return kind;
}

}  // namespace

std::int64_t TargetContext::vocab_size() const {
  if (lm != nullptr) return lm->vocab_size();
  return tokenizer != nullptr ? tokenizer->vocab_size() : 0;
}

model::EndRule TargetContext::end_rule() const {
  return lm != nullptr ? lm->end_rule() : model::EndRule();
}

model::LoadOptions TargetContext::load_options(const PotentialOptions& options) const {
  return {from_name<device::Precision>(options.dtype, "target.dtype"),
          weight_memory ? weight_memory() : model::WeightMemory{}, engine};
}

std::unique_ptr<Potential> make_potential(const PotentialOptions& options, const TargetContext& context) {
  const Kind& kind = checked_kind(options);
  std::unique_ptr<Potential> potential;
  if (const auto* make = std::get_if<PotentialMaker>(&kind.make)) {
    potential = (*make)(options, context);
  } else {
    const auto require_tokenizer = [&](bool is_fine) {
      TWISTOR_CHECK(is_fine, ErrorKind::config, doing_with(kind.name),
                    "it reads text, and the model has no tokenizer",
                    "put the model's tokenizer.json beside it, or choose a potential of tokens");
    };
    require_tokenizer(context.tokenizer != nullptr || kind.make_of_tokens != nullptr);
    if (auto scorer = make_text_scorer(options, context)) {
      require_tokenizer(context.tokenizer != nullptr);
      potential = std::make_unique<TextPotential>(std::move(scorer), *context.tokenizer, scope_of(options),
                                                  context.end_rule(), options.question);
    } else {
      potential = kind.make_of_tokens(options, context);
    }
  }
  return std::make_unique<CheckedPotential>(std::string(kind.name), std::move(potential),
                                            context.vocab_size());
}

std::unique_ptr<TextScorer> make_text_scorer(const PotentialOptions& options, const TargetContext& context) {
  const Kind& kind = checked_kind(options);
  const auto* make = std::get_if<ScorerMaker>(&kind.make);
  if (make == nullptr) return nullptr;
  auto scorer = (*make)(options, context);
  require_pairs_where_asked(options, scorer.get());
  return scorer == nullptr ? nullptr
                           : std::make_unique<CheckedScorer>(std::string(kind.name), std::move(scorer));
}

std::string identity(const Potential& potential, const PotentialOptions& options) {
  const std::string fingerprint = potential.fingerprint();
  for (const std::string& input : inputs_of(options))
    TWISTOR_ASSERT(!fingerprint.empty() || !std::filesystem::is_directory(input),
                   "a potential that reads a folder has a fingerprint");
  return fmt::format("{} [sha256 {}]", potential.description(),
                     sha256_hex(digest(options) + fingerprint).substr(0, 16));
}

std::string identity_of_all(const Potential& potential, PotentialOptions options) {
  const PotentialOptions fresh;
  options.text = fresh.text;
  options.ids = fresh.ids;
  options.class_name = fresh.class_name;
  options.negate = fresh.negate;
  return fmt::format("{}: p(o | s) of any o [sha256 {}]", options.potential,
                     sha256_hex(digest(options) + potential.fingerprint()).substr(0, 16));
}

bool needs_language_model(std::string_view name) {
  return find_kind(name).needs_lm;
}

std::vector<std::string_view> potential_names() {
  std::vector<std::string_view> names;
  for (const Kind& kind : kinds()) names.push_back(kind.name);
  return names;
}

}  // namespace twistor::potential
