// SPDX-License-Identifier: Apache-2.0
// Kinds of observations that twists may see.
#pragma once

#include <array>

#include "twistor/base/names.hpp"

namespace twistor::model {

/// What a twist sees of the observation.
enum class Condition {
  none,    ///< there is one target, and the twist is for it alone
  tokens,  ///< o is a sequence of tokens, encoded as the last hidden state of a model that reads o alone
  label,   ///< o is a class, encoded as one-hot
};
constexpr auto names_of(Condition) {
  return std::array{Named{Condition::none, "none"}, Named{Condition::tokens, "tokens"},
                    Named{Condition::label, "class"}};
}

}  // namespace twistor::model
