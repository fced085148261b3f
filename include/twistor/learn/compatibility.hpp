// SPDX-License-Identifier: Apache-2.0
// Whether a checkpoint belongs to a run: what made the one against what the other is told, compared as
// values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "twistor/config/fields.hpp"
#include "twistor/learn/options.hpp"
#include "twistor/store/checkpoint.hpp"
#include "twistor/twist/options.hpp"

namespace twistor::learn {

/// What for: going on needs every key that learning depends on, using the twist those of model and target.
enum class Purpose { go_on_learning, use };

/// What a run expects of the checkpoint that it reads.
struct Expectation {
  config::Fields fields;  ///< the whole configuration's
  const twist::FormOptions& twist;
  std::string objective;
  Decay decay = Decay::none;
  Positives positives = Positives::automatic;
  std::string model_fingerprint;
  std::string target_identity;       ///< as Checkpoint::target_identity
  std::vector<std::int64_t> prompt;  ///< (L), tokens of s0
  bool has_one_prompt = true;        ///< a list may hold others than those learned with
};

/// `stored`: fields of the checkpoint's configuration. Prompts are the same if their tokens are, however they
/// were given. *Local.* Throws Error(config) that names everything that differs, with both values.
void require_compatible(const store::Checkpoint& checkpoint, config::Fields stored,
                        const Expectation& expected, Purpose purpose);

}  // namespace twistor::learn
