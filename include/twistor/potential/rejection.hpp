// Exact samples of sigma by rejection: draw from p0, keep with probability phi / max phi.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "twistor/potential/base_sampler.hpp"
#include "twistor/potential/potential.hpp"

namespace twistor::potential {

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

/// Draws of the next round: about as many as the acceptance seen so far asks for, and at most as many as
/// there were already, so that the rounds double while nothing is accepted. Draws are numbered and the set is
/// the first n_wanted of the accepted, so the size of rounds decides how much is drawn in vain and nothing
/// else. Pure.
[[nodiscard]] std::int64_t next_round(const RoundPlan& plan);

struct RejectionOptions {
  std::int64_t n_wanted = 1;
  std::int64_t max_draws = 1'000'000;  ///< the budget; sampling stops there with what it has
  std::int64_t batch = 1024;           ///< most draws between two reports of progress
};

struct RejectionProgress {
  std::int64_t n_draws = 0;
  std::span<const AcceptedDraw> fresh;  ///< accepted since the last report, so that they can be saved
  std::int64_t n_accepted = 0;          ///< in all
};

struct RejectionResult {
  std::vector<AcceptedDraw> samples;  ///< in order of draw number, at most n_wanted
  std::int64_t n_draws = 0;           ///< draws up to the last sample wanted, or all that were made
  bool is_complete = false;           ///< n_wanted were found within the budget
};

/// *Local.* Whether draw i is accepted, and as what, depends on (seed, i) alone: the accepted set of a range
/// of draw numbers is the union of those of its parts, however they are dealt out.
class RejectionSampler {
 public:
  /// Both references must outlive this. Throws Error(config) if the potential knows no finite bound.
  RejectionSampler(const model::LanguageModel& lm, const Potential& potential,
                   std::vector<std::int64_t> prompt, std::int64_t T, std::uint64_t seed);

  /// The accepted among these draws, in increasing order. Pure.
  [[nodiscard]] std::vector<AcceptedDraw> accepted(const DrawRange& range) const;

  /// Draws 0, 1, ... until enough are accepted, the budget is spent, or `progress` (after every round) says
  /// false.
  [[nodiscard]] RejectionResult run(const RejectionOptions& options,
                                    const std::function<bool(const RejectionProgress&)>& progress = {}) const;

 private:
  BaseSampler sampler_;
  const Potential& potential_;
  std::vector<std::int64_t> prompt_;
  std::int64_t T_;
  std::uint64_t seed_;
  double log_bound_;
};

}  // namespace twistor::potential
