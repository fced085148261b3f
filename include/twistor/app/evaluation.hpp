// Measuring a twist: bounds of log Z, KL divergences, and how they reach the user.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "twistor/app/counters.hpp"
#include "twistor/app/session.hpp"
#include "twistor/estimate/log_z.hpp"
#include "twistor/store/results.hpp"

namespace twistor::app {

/// One evaluation. Means and standard errors are over repeats or samples.
struct Evaluation {
  std::int64_t update = 0;  ///< updates that the twist had seen
  double exact_log_z = 0;   ///< NaN if unknown
  estimate::LogZBounds bounds;
  estimate::ProposalKl proposal;
  estimate::KlFromLogZ kl;
  double seconds = 0;
};

/// Runs all estimators, or what an interrupted evaluation of the same twist in run.output still lacks.
/// *Collective over the world.* Throws Stopped after a signal; what is done is kept.
[[nodiscard]] Evaluation evaluate_twist(const Session& session, const twist::HeadTwist& twist,
                                        std::int64_t update, const store::ExactSamples& exact);

/// The scalars of an evaluation as they travel in checkpoints, and back (runs and counters are left out).
[[nodiscard]] std::map<std::string, double> to_numbers(const Evaluation& e, const std::string& prefix);
[[nodiscard]] std::optional<Evaluation> from_numbers(const std::map<std::string, double>& numbers,
                                                     const std::string& prefix);

/// Writes results.h5 and summary.json and prints the table. `before` may be null; `counters` are those of all
/// ranks. Call on one rank.
void publish(const Session& session, const Evaluation* before, const Evaluation& after,
             const Counters& counters, double total_seconds);

/// Gives summary.json and results.h5 of an earlier evaluation a second name, summary.N.json and results.N.h5
/// with the first N that is free, before publish() replaces them. Call on one rank. Throws Error(io).
void keep_earlier_results(const Session& session);

}  // namespace twistor::app
