// SPDX-License-Identifier: Apache-2.0
// All estimators, one after the other.
#include "twistor/estimate/evaluate.hpp"

#include <string_view>
#include <utility>

#include "twistor/base/stopwatch.hpp"
#include "twistor/estimate/exact_divergences.hpp"
#include "twistor/estimate/runs.hpp"

namespace twistor::estimate {

EvaluationOptions options_of(const Options& config, const smc::SweepOptions& sweep,
                             const Steering& steering) {
  EvaluationOptions out;
  out.sweep = sweep;
  out.repeats = config.repeats;
  out.samples = config.samples;
  out.steering = steering;
  return out;
}

KnownTarget known_from(const store::ExactSamples& samples, std::int64_t n_wanted, double log_phi_bound,
                       std::optional<double> given_log_z) {
  KnownTarget known;
  if (given_log_z) known.given_log_z = *given_log_z;
  known.exact_log_z = samples.log_z;
  if (!samples.how.starts_with("rejection") || samples.n_draws == 0) return known;
  const std::int64_t n = samples.n() + samples.n_left_out;
  known.rejection = {samples.n_draws, n, log_phi_bound, n >= n_wanted};
  return known;
}

std::optional<Evaluation> evaluate(const smc::Problem& problem, const smc::Proposal& proposal,
                                   const EvaluationOptions& options, const exact::Source& exact,
                                   const comm::Communicator& world, const comm::Groups& groups,
                                   Findings& found) {
  const Stopwatch watch;
  const auto save = [&] {
    if (options.save) options.save(found);
  };
  Stopwatch since_save;
  Steering steering = options.steering;
  steering.observer = [&](std::string_view what, std::int64_t done, std::int64_t wanted) {
    options.steering.observe(what, done, wanted);
    if (since_save.seconds() < options.steering.save_every_s) return;
    save();
    since_save.restart();
  };
  smc::SweepCounters counters;
  const auto enumerated = [&] {
    if (options.enumerate && !found.exact)
      found.exact = enumerate_divergences(problem, proposal, options.sweep.length, options.known.exact_log_z,
                                          world, steering);
    return !options.enumerate || found.exact;
  };
  const bool is_done =
      run_repeats(problem, proposal, {options.sweep, options.repeats, steering}, exact, world, groups, found,
                  counters) &&
      run_samples(problem, proposal, {options.sweep.length, options.samples, options.sweep.seed, steering},
                  exact, world, found) &&
      enumerated();
  std::optional<SweepTrace> trace;
  if (is_done && options.trace)
    trace = trace_sweep(problem, proposal, options.sweep, options.steering.wish, world);
  if (!is_done || (options.trace && !trace)) {
    save();
    return std::nullopt;
  }
  KnownTarget known = options.known;
  known.n_exact = exact.n;
  known.may_cut_support = proposal.may_cut_support();
  Evaluation e = make_evaluation(found, known);
  e.trace = std::move(trace);
  if (!e.g.empty()) e.exact_digest = exact::digest(exact, static_cast<std::int64_t>(e.g.size()));
  e.counters.add(counters);
  e.seconds = watch.seconds();
  return e;
}

}  // namespace twistor::estimate
