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
[[nodiscard]] Evaluation evaluate_twist(const Session& session, const twist::Trainable& twist,
                                        std::int64_t update, const store::ExactSamples& exact);

/// The same of the base model: psi = 1 and q = p0, what one has without learning at the same K. What it finds
/// is kept in run.output until forget_base(), so that a run that is interrupted later need not do it again.
/// *Collective over the world.* Throws Stopped after a signal.
[[nodiscard]] Evaluation evaluate_base(const Session& session, const store::ExactSamples& exact);
void forget_base(const Session& session);

/// What a table shows side by side. `base` and `before` may be null, and one and the same where learning
/// started from psi = 1.
struct Comparison {
  const Evaluation* base = nullptr;
  const Evaluation* before = nullptr;
  const Evaluation* after = nullptr;
};

/// The scalars of an evaluation as they travel in checkpoints, and back (runs and counters are left out).
[[nodiscard]] std::map<std::string, double> to_numbers(const Evaluation& e, const std::string& prefix);
[[nodiscard]] std::optional<Evaluation> from_numbers(const std::map<std::string, double>& numbers,
                                                     const std::string& prefix);

/// Writes results.h5 and summary.json and prints the table. `counters` are those of all ranks. Call on one
/// rank.
void publish(const Session& session, const Comparison& comparison, const Counters& counters,
             double total_seconds);

/// Gives summary.json and results.h5 of an earlier evaluation a second name, summary.N.json and results.N.h5
/// with the first N that is free, before publish() replaces them. Call on one rank. Throws Error(io).
void keep_earlier_results(const Session& session);

}  // namespace twistor::app
