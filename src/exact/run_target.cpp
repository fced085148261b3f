// SPDX-License-Identifier: Apache-2.0
// Drawing what a run's target leaves open.
#include "twistor/exact/run_target.hpp"

namespace twistor::exact {
namespace {

constexpr std::int64_t first_pair = 0;

}  // namespace

RunTarget make_run_target(const model::LanguageModel& lm, std::span<const std::int64_t> prompt,
                          potential::PotentialOptions options, const potential::TargetContext& context,
                          const RunTargetOptions& how) {
  RunTarget target;
  const bool is_class_drawn = potential::is_class_open(options) && how.condition == model::Condition::label;
  if (is_class_drawn) options.class_name = "0";  // until one is drawn
  if (options.potential == "continuation" && options.text.empty() && options.ids.empty()) {
    const JointDraws draw =
        BaseSampler(lm, prompt).joint(how.length, how.observation_length, {&first_pair, 1}, how.seed);
    target.joint_sample = draw.sequences.tokens;
    target.observation = options.ids = draw.observations.tokens;
  }
  target.potential = potential::make_potential(options, context);
  if (how.condition == model::Condition::none) {
    target.identity = potential::identity(*target.potential, options);
    return target;
  }
  target.identity = potential::identity_of_all(*target.potential, options);
  auto pairs = std::make_unique<JointSampler>(lm, prompt, how.length, *target.potential, how.condition,
                                              how.observation_length);
  if (is_class_drawn) {
    const JointDraws draw = pairs->draw({&first_pair, 1}, how.seed);
    target.joint_sample = draw.sequences.tokens;
    target.potential = target.potential->given(draw.observations.tokens);
  }
  if (!target.joint_sample.empty()) target.pairs = std::move(pairs);
  return target;
}

}  // namespace twistor::exact
