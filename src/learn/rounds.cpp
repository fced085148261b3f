// SPDX-License-Identifier: Apache-2.0
// Drawing the samples of a round, and choosing among them.
#include "twistor/learn/rounds.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/learn/contrast.hpp"
#include "twistor/smc/proposal.hpp"
#include "whole_population.hpp"

namespace twistor::learn {

double WeightedTexts::ess() const {
  return effective_sample_size(log_w);
}

double WeightedTexts::log_z() const {
  return log_sum_exp(log_w);
}

std::vector<std::int64_t> WeightedTexts::choose(std::int64_t n, std::pair<std::int64_t, std::int64_t> range,
                                                std::uint64_t seed) const {
  const double log_sum = log_z();
  TWISTOR_ASSERT(log_sum != log_zero, "a text that counts can be chosen");
  Philox random(seed, Stream::round_choice, 0, 0);
  const double offset = random.uniform();
  const auto weight = [&](std::int64_t i) { return std::exp(log_w[static_cast<std::size_t>(i)] - log_sum); };
  const std::int64_t heaviest = std::ranges::max_element(log_w) - log_w.begin();  // where sums end below 1
  std::vector<std::int64_t> out;
  double sum = 0;
  std::int64_t i = 0;
  for (std::int64_t j = range.first; j < range.second; ++j) {
    const double point = (static_cast<double>(j) + offset) / static_cast<double>(n);
    while (i < size() && sum + weight(i) <= point) sum += weight(i++);
    out.push_back(i < size() ? i : heaviest);
  }
  return out;
}

NewRound draw_round(const RoundPlan& plan, const smc::Problem& problem, std::int64_t length,
                    const twist::Twist& twist, std::int64_t update, std::uint64_t seed,
                    const comm::Communicator& world, smc::SweepCounters& counters) {
  const smc::SweepOptions options{.particles = plan.samples,
                                  .length = length,
                                  .trigger = smc::Trigger::never,
                                  .seed = derive_seed(seed, Stream::round, 0)};
  const smc::Proposal proposal(problem.lm, twist,
                               plan.is_of_base ? smc::ProposalKind::base : smc::ProposalKind::twisted);
  const smc::Sweep sweep = smc::sweep(problem, proposal, options, world);
  add_counters(counters, sweep.counters);
  const double power =
      update < plan.anneal ? annealed_power(sweep.particles, sweep.log_phi, plan.anneal_ess, world) : 1;
  NewRound out{{}, sweep.log_z};
  const double log_n = std::log(static_cast<double>(plan.samples));
  const WholePopulation whole(sweep, length, world);
  for (const WholePopulation::Particle& particle : whole.particles) {
    if (particle.log_w == log_zero) continue;
    out.texts.tokens.insert(out.texts.tokens.end(), particle.tokens.begin(), particle.tokens.end());
    out.texts.log_w.push_back(particle.log_w - (1 - power) * particle.log_phi - log_n);
    out.texts.log_phi.push_back(particle.log_phi);
  }
  return out;
}

void check_given(const GivenTexts& given, const smc::Problem& problem, std::int64_t length) {
  const auto& [texts, origin] = given;
  const std::string doing = "reading samples from " + origin,
                    hint = "name what `twistor sample` wrote for this prompt and target (train.round_file)";
  TWISTOR_CHECK(texts.tokens.size() == texts.log_w.size() * static_cast<std::size_t>(length), ErrorKind::data,
                doing, fmt::format("a sample has another length than target.length = {}", length), hint);
  for (const std::int64_t id : texts.tokens)
    TWISTOR_CHECK(id >= 0 && id < problem.lm.vocab_size(), ErrorKind::data, doing,
                  fmt::format("there is no token {}, the model has {}", id, problem.lm.vocab_size()), hint);
  TWISTOR_CHECK(texts.ess() > 0, ErrorKind::data, doing, "no sample has a weight above 0", hint);
  const std::vector<double> here = problem.potential.log_phi({problem.prompt, texts.tokens, length});
  for (std::size_t i = 0; i < here.size(); ++i) {
    // Encoders of another precision differ in the third digit; another target differs in the first.
    const bool is_same =
        here[i] == texts.log_phi[i] || std::abs(here[i] - texts.log_phi[i]) < 1e-2 * (1 + std::abs(here[i]));
    TWISTOR_CHECK(is_same, ErrorKind::data, doing,
                  fmt::format("log phi of sample {} is {} there and {} here", i, texts.log_phi[i], here[i]),
                  hint);
  }
}

}  // namespace twistor::learn
