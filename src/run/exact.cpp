// SPDX-License-Identifier: Apache-2.0
// The exact samples of a run: where they lie, what is said about them, and signals.
#include <fmt/format.h>

#include "twistor/base/log.hpp"
#include "twistor/config/paths.hpp"
#include "twistor/exact/pair_set.hpp"
#include "twistor/exact/sample_set.hpp"
#include "twistor/report/progress.hpp"
#include "twistor/run/session.hpp"

namespace twistor::run {

exact::Target Session::exact_target() const {
  return {.lm = *lm_,
          .prompt = prompt_.ids,
          .length = config_.target.length,
          .potential = potential(),
          .identity = potential_identity(),
          .joint_sample = target_.joint_sample,
          .observation = observation(),
          .is_joint_exact = config_.target.beta == 1};
}

exact::SetOptions Session::exact_options(const exact::Target& target) const {
  const exact::Options& exact = config_.exact;
  const estimate::Options& e = config_.evaluate;
  exact::SetOptions out =
      exact::set_options(exact, target, e.most_enumerated(), e.enumeration_limit, config_.run.seed);
  if (exact.source == exact::Way::none) return out;  // then no file is looked at either
  out.file = exact.path.empty() ? output("exact.h5") : config::output_path(exact.path);
  out.is_shared = !exact.path.empty();
  return out;
}

store::ExactSamples Session::exact_samples(
    const std::function<void(const store::ExactSamples&)>& check) const {
  const exact::Target target = exact_target();
  exact::SetOptions options = exact_options(target);
  if (pairs() != nullptr) {
    options.count = config_.evaluate.observations;
    return exact::find_pairs(target, *pairs(), options, world_);
  }
  exact::SampleSet set = exact::find(target, options, world_);
  const store::ExactSamples& samples = set.samples;
  if (!set.problem.empty()) log_warning(set.problem + "; the exact samples begin anew");
  if (set.is_lacking) {
    if (const std::string plan = exact::plan(target, options, samples); is_root() && !plan.empty())
      log_info(plan);
    report::ProgressLine progress(this->progress());
    const bool is_made = exact::make(target, options, world_, steering(progress), set);
    progress.finish();
    if (!is_made) stop(exact::what_is_kept(options, samples));
    if (is_root() && samples.n() > 0)
      log_info(fmt::format("{} in {:.1f} s", exact::description(options, samples), set.seconds));
    if (const std::string lack = exact::shortfall(options, samples); is_root() && !lack.empty())
      log_warning(lack);
  }
  if (check) check(samples);  // whoever refuses them does so before they replace those of an earlier run
  if (is_root()) exact::keep(options, set);
  if (is_root() && samples.n() == 0)
    log_warning("there are no exact samples: upper bounds and KL(sigma || q) are left out");
  return samples;
}

}  // namespace twistor::run
