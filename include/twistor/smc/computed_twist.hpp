// SPDX-License-Identifier: Apache-2.0
// Twists that are computed from samples of the base model before anything is drawn with them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "twistor/comm/communicator.hpp"
#include "twistor/model/language_model.hpp"
#include "twistor/model/ngram.hpp"
#include "twistor/smc/sampler.hpp"
#include "twistor/twist/automaton.hpp"
#include "twistor/twist/options.hpp"

namespace twistor::smc {

/// An n-gram model of p0 in T tokens after the prompt. p(v) is the mean of p0(v | prefix) over the prefixes
/// of `n_samples` texts of p0, so that it knows tokens that none of them has; pairs are counted in these
/// texts. The same bits on any number of ranks. *Collective over comm.*
[[nodiscard]] model::Ngram ngram_of_base(const Problem& problem, std::int64_t T, int order,
                                         std::int64_t n_samples, std::uint64_t seed,
                                         const comm::Communicator& comm);

struct ComputedTwist {
  /// p0 with the automaton beside it, which the twist reads.
  std::shared_ptr<const model::LanguageModel> lm;
  std::shared_ptr<const twist::AutomatonValues> values;
  std::string description;  ///< for people: sizes and seconds
};

/// For twist.form = automaton: problem.lm must be `lm`. *Collective over comm.* Throws Error(config) for a
/// potential that is no automaton, and what AutomatonValues throws.
[[nodiscard]] ComputedTwist compute_twist(std::shared_ptr<const model::LanguageModel> lm,
                                          const Problem& problem, const twist::FormOptions& options,
                                          std::int64_t T, std::uint64_t seed, const comm::Communicator& comm);

/// Throws Error(config) if that form is computed: `train` has nothing to learn of it then. *Local.*
void require_learned(const twist::FormOptions& options);

}  // namespace twistor::smc
