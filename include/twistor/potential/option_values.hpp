// SPDX-License-Identifier: Apache-2.0
// What options of potentials may be that name one of a few things.
#pragma once

#include <array>

#include "twistor/base/names.hpp"

namespace twistor::potential {

/// Key `mode` of the kind "tokens": whose scores count.
enum class ScoreMode { bag, last };
constexpr auto names_of(ScoreMode) {
  return std::array{Named{ScoreMode::bag, "bag"}, Named{ScoreMode::last, "last"}};
}

/// Key `mode` of the kind "lexicon": how the valences of the words become one, added up, added up with each
/// entry counted once, or their mean over all words.
enum class LexiconMode { bag, distinct, mean };
constexpr auto names_of(LexiconMode) {
  return std::array{Named{LexiconMode::bag, "bag"}, Named{LexiconMode::distinct, "distinct"},
                    Named{LexiconMode::mean, "mean"}};
}

/// Key `rule` of classifiers: how phi follows from the probability of a class.
enum class RuleKind { probability, threshold };
constexpr auto names_of(RuleKind) {
  return std::array{Named{RuleKind::probability, "probability"}, Named{RuleKind::threshold, "threshold"}};
}

/// Key `scope`: what of a sequence a scorer of texts reads: all of it as one text, the generation alone, or
/// the generation as the answer to the prompt, two texts.
enum class TextScope { all, generation, pair };
constexpr auto names_of(TextScope) {
  return std::array{Named{TextScope::all, "all"}, Named{TextScope::generation, "generation"},
                    Named{TextScope::pair, "pair"}};
}

}  // namespace twistor::potential
