// SPDX-License-Identifier: Apache-2.0
// The one registry of random streams. A stream is never reused for a second purpose; numbers are part of the
// file format.
#pragma once

#include <cstdint>

namespace twistor {

enum class Stream : std::uint16_t {
  tokens = 1,            ///< token draws of the sweep
  resampling = 2,        ///< offspring
  conditional_slot = 3,  ///< where the pinned path starts and goes
  exact_rejection = 4,   ///< accept or reject an exact sample
  exact_tokens = 5,      ///< token draws of exact samplers
  exact_choice = 6,      ///< which exact sample a batch or repeat uses
  twist_init = 7,        ///< initial twist parameters
  enumeration = 8,       ///< draws from an enumerated distribution
  update = 9,            ///< seeds of training updates
  repeat = 10,           ///< seeds of evaluation repeats
  negatives = 11,        ///< seeds of negative samples in an update
  positives = 12,        ///< seeds of positive samples in an update
  observation = 13,      ///< jointly drawn observations
  model_init = 14,       ///< random weights of models made by tools and benchmarks
  corpus = 15,           ///< generated text
  test = 16,             ///< tests and benchmarks
  proposal_check = 17,   ///< samples for F_q
  sample_choice = 18,    ///< which particle of a population becomes a draw
  base_check = 19,       ///< the base model's samples beside those of `sample`
  lora_init = 20,        ///< first factors of low-rank additions
  island = 21,           ///< seeds of the observations of an update or an evaluation
  reroll = 22,           ///< where exact samples are cut, and what is drawn in the place of the rest
  positive_check = 23,   ///< samples of p0 by which train.positives = auto is decided
  next_pin = 24,         ///< which particle of a conditional sweep the next one is pinned to
  trace = 25,            ///< seed of the one sweep that is shown particle by particle
  prompt = 26,           ///< seeds of the prompts of a list
  ngram = 27,            ///< seed of the samples that an n-gram model is fitted to
  move = 28,             ///< seeds of the conditional sweeps by which a draw moves on
  prompt_order = 29,     ///< in which order updates learn on prompts
  holdout = 30,          ///< which texts of a round are held out
  bootstrap = 35,        ///< which prompts a resampled list has
  round = 40,            ///< seeds of the samples of a round of distillation
  round_choice = 41,     ///< which of them an update learns from
  part = 42,             ///< seeds by which the islands of one population resample
};

}  // namespace twistor
