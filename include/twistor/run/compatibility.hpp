// SPDX-License-Identifier: Apache-2.0
// Whether a checkpoint belongs to a run: what made the one against what the other is told, compared as
// values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "twistor/learn/compatibility.hpp"
#include "twistor/run/config.hpp"
#include "twistor/store/checkpoint.hpp"

namespace twistor::run {

/// What a run expects of the checkpoint that it reads.
struct Expectation {
  const Config& config;
  std::string model_fingerprint;
  std::string target_identity;       ///< as Checkpoint::target_identity
  std::vector<std::int64_t> prompt;  ///< (L), tokens of s0
};

using learn::Purpose;

/// Prompts are the same if their tokens are, however they were given. *Local.* Throws Error(config) that
/// names everything that differs, with both values, or says why the stored configuration cannot be read.
void require_compatible(const store::Checkpoint& checkpoint, const Expectation& expected, Purpose purpose);

}  // namespace twistor::run
