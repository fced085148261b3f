// SPDX-License-Identifier: Apache-2.0
// Exact samples of sigma by rejection: draw from p0, keep with probability phi / max phi.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "twistor/comm/communicator.hpp"
#include "twistor/exact/base_sampler.hpp"
#include "twistor/potential/potential.hpp"
#include "twistor/store/exact_samples.hpp"

namespace twistor::exact {

/// An exact sample of sigma.
struct AcceptedDraw {
  std::int64_t draw = 0;             ///< its number among all draws, accepted or not
  std::vector<std::int64_t> tokens;  // (T)
  double log_p0 = 0;
  double log_phi = 0;
  friend bool operator==(const AcceptedDraw&, const AcceptedDraw&) = default;
};

/// Draw numbers first, first + stride, ... below end.
struct DrawRange {
  std::int64_t first = 0;
  std::int64_t end = 0;
  std::int64_t stride = 1;
};

/// How far a rejection has come, from which the size of its next round follows.
struct RoundPlan {
  std::int64_t n_wanted = 1;
  std::int64_t n_accepted = 0;         ///< so far, fewer than n_wanted
  std::int64_t n_draws = 0;            ///< so far
  std::int64_t max_draws = 1'000'000;  ///< the budget
  std::int64_t least = 32;   ///< below this a round costs no less: batches are filled and ranks kept busy
  std::int64_t most = 1024;  ///< between two looks at signals, progress and files
};

/// Most draws in all: the budget, or half of it as long as nothing was accepted. After n draws in vain the
/// next sample is expected to cost n more, and that is then beyond what is left. Pure.
[[nodiscard]] std::int64_t draws_allowed(std::int64_t budget, std::int64_t n_accepted);

/// Draws of the next round: about as many as the acceptance seen so far asks for, and at most as many as
/// there were already, so that the rounds double while nothing is accepted. Draws are numbered and the set is
/// the first n_wanted of the accepted, so the size of rounds decides how much is drawn in vain and nothing
/// else. Pure.
[[nodiscard]] std::int64_t next_round(const RoundPlan& plan);

/// *Local.* Whether draw i is accepted, and as what, depends on (seed, i) alone: the accepted set of a range
/// of draw numbers is the union of those of its parts, however they are dealt out.
class RejectionSampler {
 public:
  /// Both references must outlive this. Throws Error(config) if the potential knows no finite bound.
  RejectionSampler(const model::LanguageModel& lm, const potential::Potential& potential,
                   std::vector<std::int64_t> prompt, std::int64_t T, std::uint64_t seed);

  /// The accepted among these draws, in increasing order. Pure.
  [[nodiscard]] std::vector<AcceptedDraw> accepted(const DrawRange& range) const;

 private:
  BaseSampler sampler_;
  const potential::Potential& potential_;
  std::vector<std::int64_t> prompt_;
  std::int64_t T_;
  std::uint64_t seed_;
  double log_bound_;
};

struct RejectionLimits {
  std::int64_t count = 1;           ///< samples wanted
  std::int64_t budget = 1'000'000;  ///< most draws
  std::int64_t least_per_rank = 32,
               most_per_rank = 256;  ///< draws of one round; 256 fill a batch of the model
};

/// One more round: its draws are dealt out to the ranks, and the accepted ones join `set` in the order of
/// their numbers until it has `count`. set.n_draws says where the next round begins; with the last sample it
/// becomes the number of draws up to that one. `set` must be the same on every rank, and stays so.
/// *Collective over comm.*
void add_round(const RejectionSampler& sampler, const RejectionLimits& limits, store::ExactSamples& set,
               const comm::Communicator& comm);

/// Appends one sequence to a set. *Local.*
void append(store::ExactSamples& set, std::span<const std::int64_t> tokens, double log_p0, double log_phi);

}  // namespace twistor::exact
