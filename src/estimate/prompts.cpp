// SPDX-License-Identifier: Apache-2.0
// One prompt: its exact samples, then every sampler.
#include "twistor/estimate/prompts.hpp"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "twistor/base/philox.hpp"
#include "twistor/exact/sample_set.hpp"
#include "twistor/smc/prompted.hpp"

namespace twistor::estimate {
namespace {

std::vector<double> to_numbers(const PromptFindings& f) {
  std::vector<double> out{static_cast<double>(f.n_exact), static_cast<double>(f.n_draws),
                          static_cast<double>(f.n_sequences)};
  for (const Evaluation& e : f.evaluations) {
    const std::vector<double> row = to_row(e);
    out.push_back(static_cast<double>(row.size()));
    out.insert(out.end(), row.begin(), row.end());
  }
  return out;
}

PromptFindings findings_of_prompt(std::span<const double> x) {
  constexpr std::size_t n_counts = 3;
  TWISTOR_CHECK(x.size() >= n_counts, ErrorKind::data, "reading what was found about a prompt",
                "it is cut short");
  PromptFindings out{
      {}, static_cast<std::int64_t>(x[0]), static_cast<std::int64_t>(x[1]), static_cast<std::int64_t>(x[2])};
  for (std::size_t at = n_counts; at < x.size();) {
    const auto n = static_cast<std::size_t>(x[at]);
    TWISTOR_CHECK(n < x.size() - at, ErrorKind::data, "reading what was found about a prompt",
                  "it is cut short");
    out.evaluations.push_back(evaluation_from_row(x.subspan(at + 1, n)));
    at += n + 1;
  }
  return out;
}

/// The work on one prompt. Everything is *collective over its group*.
class PromptWork {
 public:
  PromptWork(const PromptTask& task, std::span<const PromptSampler> samplers,
             const potential::Potential& potential, const PromptsOptions& options, std::size_t n_prompts,
             const comm::Groups& alone, const Steering& steering)
      : task_(task),
        samplers_(samplers),
        potential_(potential),
        options_(options),
        n_prompts_(n_prompts),
        seed_(derive_seed(options.each.sweep.seed, Stream::prompt, task.key)),
        alone_(alone),
        steering_(steering) {}

  std::optional<PromptFindings> run(Counters& counters) {
    const smc::PromptedProblem base(samplers_.front().lm, task_.prompt, potential_);
    const std::optional<store::ExactSamples> exact = exact_samples(base.problem());
    if (!exact) return std::nullopt;
    PromptFindings out{{}, exact->n(), exact->n_draws, 0};
    for (const PromptSampler& sampler : samplers_) {
      const bool is_same = sampler.lm == samplers_.front().lm;
      std::optional<smc::PromptedProblem> own;
      if (!is_same) own.emplace(sampler.lm, task_.prompt, potential_);
      const std::optional<Evaluation> e =
          measure(is_same ? base.problem() : own->problem(), sampler, *exact, out.n_sequences);
      if (!e) return std::nullopt;
      counters.add(e->counters);
      out.evaluations.push_back(*e);
    }
    std::vector<Evaluation*> all;
    for (Evaluation& e : out.evaluations) all.push_back(&e);
    share_log_z(all);
    return out;
  }

 private:
  std::optional<store::ExactSamples> exact_samples(const smc::Problem& problem) {
    const exact::Target target{.lm = problem.lm,
                               .prompt = problem.prompt,
                               .length = task_.length,
                               .potential = potential_,
                               .identity = options_.target_identity};
    exact::SetOptions options = exact::set_options(
        options_.exact, target, options_.config.most_enumerated() / static_cast<double>(n_prompts_),
        options_.config.enumeration_limit, seed_);
    options.may_be_empty = true;
    exact::SampleSet set = exact::find(target, options, alone_.group);
    if (set.is_lacking && !exact::make(target, options, alone_.group, steering_, set)) return std::nullopt;
    return std::move(set.samples);
  }

  std::optional<Evaluation> measure(const smc::Problem& problem, const PromptSampler& sampler,
                                    const store::ExactSamples& samples, std::int64_t& n_sequences) {
    EvaluationOptions each = options_.each;
    each.sweep.seed = seed_;
    each.sweep.length = task_.length;
    each.sweep.trigger = sampler.trigger.value_or(each.sweep.trigger);
    const bool is_event = each.known.is_event;
    each.known = known_from(samples, options_.exact.count, potential_.log_phi_bound(), std::nullopt);
    each.known.is_event = is_event;
    // Of an empty target nothing is left to be summed.
    each.enumerate = options_.config.enumerate_q && std::isfinite(samples.log_z);
    each.steering = steering_;
    each.steering.observer = [&](std::string_view what, std::int64_t done, std::int64_t wanted) {
      steering_.observe(fmt::format("{}, {}", sampler.name, what), done, wanted);
    };
    const exact::Source exact = exact::split(samples, false).for_estimates;
    n_sequences += options_.config.n_sequences(each.sweep.particles, exact.n);
    Findings found;
    std::optional<Evaluation> e =
        evaluate(problem, smc::Proposal(problem.lm, sampler.twist, options_.proposal), each, exact,
                 alone_.group, alone_, found);
    if (e) e->update = sampler.update;
    return e;
  }

  const PromptTask& task_;
  std::span<const PromptSampler> samplers_;
  const potential::Potential& potential_;
  const PromptsOptions& options_;
  std::size_t n_prompts_;
  std::uint64_t seed_;
  const comm::Groups& alone_;  // the ranks that work on it, as one group
  const Steering& steering_;
};

}  // namespace

std::optional<std::vector<PromptFindings>> evaluate_prompts(
    std::span<const PromptTask> tasks, std::span<const PromptSampler> samplers,
    const potential::Potential& potential, const PromptsOptions& options, const comm::Communicator& world,
    const comm::Groups& groups, Pieces& found, Counters& counters) {
  TWISTOR_ASSERT(!tasks.empty() && !samplers.empty(), "there are prompts and samplers");
  counters.add(smc::SweepCounters{});  // a rank that gets no prompt counts the same things
  const comm::Groups alone = comm::make_groups(groups.group, 0);
  std::vector<double> costs;
  for (const PromptTask& task : tasks)
    costs.push_back(static_cast<double>(task.prompt.size()) +
                    static_cast<double>(task.length) * static_cast<double>(options.each.sweep.particles));
  const Deal deal{"prompts", costs,
                  [&](std::int64_t i, const Steering& steering) -> std::optional<std::vector<double>> {
                    PromptWork work(tasks[static_cast<std::size_t>(i)], samplers, potential, options,
                                    tasks.size(), alone, steering);
                    const std::optional<PromptFindings> one = work.run(counters);
                    if (!one) return std::nullopt;
                    return to_numbers(*one);
                  },
                  options.save};
  if (!deal_out(deal, world, groups, options.each.steering, found)) return std::nullopt;
  std::vector<PromptFindings> out;
  for (const auto& [i, numbers] : found) out.push_back(findings_of_prompt(numbers));
  return out;
}

}  // namespace twistor::estimate
