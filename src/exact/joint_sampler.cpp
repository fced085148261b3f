// SPDX-License-Identifier: Apache-2.0
// Joint draws of sequences and observations.
#include "twistor/exact/joint_sampler.hpp"

#include <cmath>

#include "twistor/base/error.hpp"
#include "twistor/base/philox.hpp"

namespace twistor::exact {
namespace {

constexpr const char* drawing_observations = "drawing observations";

}  // namespace

JointSampler::JointSampler(const model::LanguageModel& lm, std::span<const std::int64_t> prompt,
                           std::int64_t T, const potential::Potential& potential, model::Condition condition,
                           std::int64_t c)
    : sampler_(lm, prompt), prompt_(prompt.begin(), prompt.end()), T_(T), c_(c) {
  TWISTOR_ASSERT(condition != model::Condition::none, "a pair has an observation");
  const std::int64_t n = potential.n_classes();
  if (condition == model::Condition::tokens) {
    const std::vector<std::int64_t> any{0};
    TWISTOR_CHECK(
        n == 0 && potential.given(any) != nullptr, ErrorKind::config, drawing_observations,
        "twist.condition = tokens needs phi(s) = p0(o | s), and phi is none: " + potential.description(),
        "set target.potential = continuation and target.beta = 1");
    return;
  }
  TWISTOR_CHECK(n > 0, ErrorKind::config, drawing_observations,
                "twist.condition = class needs phi(s) = p(class | s) with classes that exclude one another, "
                "and phi is none: " +
                    potential.description(),
                "set target.potential = classifier or linear_head, target.rule = probability and target.beta "
                "= 1");
  for (std::int64_t i = 0; i < n; ++i) class_potentials_.push_back(potential.given({&i, 1}));
}

BaseSamples JointSampler::classes(const BaseSamples& sequences, std::span<const std::int64_t> indices,
                                  std::uint64_t seed) const {
  std::vector<std::vector<double>> log_p;  // by class
  for (const auto& potential : class_potentials_)
    log_p.push_back(potential->log_phi({prompt_, sequences.tokens, T_}));
  BaseSamples out;
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const double u = Philox(seed, Stream::observation, 0, static_cast<std::uint64_t>(indices[i])).uniform();
    double cumulative = 0;
    std::size_t drawn = 0;
    for (std::size_t label = 0; label < log_p.size(); ++label) {
      if (std::isinf(log_p[label][i])) continue;
      drawn = label;  // rounding may leave a sliver of (0, 1) above the sum: it belongs to the last one
      cumulative += std::exp(log_p[label][i]);
      if (u < cumulative) break;
    }
    out.tokens.push_back(static_cast<std::int64_t>(drawn));
    out.log_p0.push_back(log_p[drawn][i]);
  }
  return out;
}

JointDraws JointSampler::draw(std::span<const std::int64_t> indices, std::uint64_t seed) const {
  if (class_potentials_.empty()) return sampler_.joint(T_, c_, indices, seed);
  JointDraws out{sampler_.sample(T_, indices, seed), {}};
  out.observations = classes(out.sequences, indices, seed);
  return out;
}

}  // namespace twistor::exact
