// SPDX-License-Identifier: Apache-2.0
// Drawing the islands of observations.
#include "islands.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/base/stopwatch.hpp"
#include "twistor/smc/forced_pass.hpp"
#include "twistor/smc/proposal.hpp"

namespace twistor::learn {
namespace {

exact::Source source_of_one(const std::vector<std::int64_t>& sample) {
  return {1, [&sample](std::int64_t) { return sample; }};
}

}  // namespace

Conditional conditional(const smc::ConditionalProblem& problems, const exact::JointSampler* pairs,
                        std::int64_t observations) {
  TWISTOR_CHECK(pairs != nullptr, ErrorKind::config, "starting to learn",
                "twist.condition learns from observations that are drawn, and the configuration names one",
                "leave target.text, target.ids and target.class empty, or set twist.condition = none");
  return {problems, *pairs, observations};
}

BatchSource ConditionalIslands::source_of(const Island& island, const exact::Source& exact) const {
  return {island.problem(), length_, Shards(1, self_), exact, self_};
}

void ConditionalIslands::draw(const Objective& objective, const twist::Trainable& twist, std::uint64_t seed,
                              std::int64_t, UpdateTimes& times) {
  const std::vector<std::int64_t> indices = this->indices();
  mine_.clear();
  if (indices.empty()) return;
  const exact::JointDraws pairs =
      timed(times.positives_s, [&] { return conditional_.pairs.draw(indices, seed); });
  const std::size_t c = pairs.observations.tokens.size() / indices.size();
  const auto part = [](const std::vector<std::int64_t>& all, std::size_t i, std::size_t width) {
    const auto at = all.begin() + static_cast<std::ptrdiff_t>(i * width);
    return std::vector<std::int64_t>(at, at + static_cast<std::ptrdiff_t>(width));
  };
  for (std::size_t i = 0; i < indices.size(); ++i) {
    Island island{.sample = part(pairs.sequences.tokens, i, static_cast<std::size_t>(length_)),
                  .observation = part(pairs.observations.tokens, i, c),
                  .seed = derive_seed(seed, Stream::island, static_cast<std::uint64_t>(indices[i])),
                  .given = nullptr,
                  .prompted = nullptr,
                  .batches = {},
                  .terms = {}};
    island.given = conditional_.problems.given(island.observation);
    mine_.push_back(std::move(island));
  }
  const std::unique_ptr<smc::GivenProblem> together =
      conditional_.problems.together(pairs.observations.tokens, static_cast<std::int64_t>(indices.size()));
  std::int64_t n_sweeps = 0;
  for (const Request& request : objective.wants()) {
    const bool is_exact = request.source == Source::exact;
    timed(is_exact ? times.positives_s : times.sample_s, [&] {
      if (is_exact)
        expand(request, *together, twist, objective.may_resample(), times.sweep);
      else
        draw_samples(request, n_sweeps++, *together, twist, times.sweep);
    });
  }
}

std::vector<smc::Sweep> ConditionalIslands::sweep(const Request& request, const smc::SweepOptions& options,
                                                  const smc::Problem& together, const twist::Trainable& twist,
                                                  const std::function<smc::Island(const Island&)>& island_of,
                                                  smc::SweepCounters& counters) const {
  const smc::Proposal proposal(together.lm, twist, proposal_kind(request.source));
  std::vector<smc::Island> islands;
  for (const Island& island : mine_) islands.push_back(island_of(island));
  std::vector<smc::Sweep> sweeps = smc::sweep_islands(together, proposal, options, islands);
  add_counters(counters, sweeps.front().counters);
  return sweeps;
}

/// Rerolled samples are drawn one by one anyway, because each keeps another part.
void ConditionalIslands::draw_samples(const Request& request, std::int64_t number,
                                      const smc::GivenProblem& together, const twist::Trainable& twist,
                                      smc::SweepCounters& counters) {
  std::vector<smc::Sweep> sweeps;
  for (std::size_t i = 0; i < mine_.size(); ++i) {
    Island& island = mine_[i];
    const exact::Source exact = source_of_one(island.sample);
    BatchSource source = source_of(island, exact);
    if (request.source == Source::reroll) {
      island.batches.push_back(source.draw(request, number, twist, island.seed, counters));
      continue;
    }
    if (sweeps.empty())
      sweeps = sweep(
          request, source.sweep_options(request), together.problem(), twist,
          [&](const Island& one) {
            return smc::Island{
                .seed = derive_seed(one.seed, Stream::negatives, static_cast<std::uint64_t>(number))};
          },
          counters);
    island.batches.push_back(source.of_sweep(request, std::move(sweeps[i]), twist));
  }
}

void ConditionalIslands::expand(const Request& request, const smc::GivenProblem& together,
                                const twist::Trainable& twist, bool may_resample,
                                smc::SweepCounters& counters) {
  std::vector<smc::Sweep> sweeps;
  if (request.n > 1) {
    const exact::Source exact = source_of_one(mine_.front().sample);
    sweeps = sweep(
        request, source_of(mine_.front(), exact).expand_options(request, may_resample), together.problem(),
        twist,
        [](const Island& one) {
          return smc::Island{.seed = derive_seed(one.seed, Stream::positives, 0), .pinned = one.sample};
        },
        counters);
  }
  std::vector<std::int64_t> tokens;
  for (std::size_t i = 0; i < mine_.size(); ++i) {
    const std::vector<std::int64_t>& one = sweeps.empty() ? mine_[i].sample : sweeps[i].particles.tokens;
    tokens.insert(tokens.end(), one.begin(), one.end());
  }
  const at::Tensor all = smc::hidden_states(together.problem(), length_, tokens);
  for (std::size_t i = 0; i < mine_.size(); ++i) {
    Island& island = mine_[i];
    const exact::Source exact = source_of_one(island.sample);
    const BatchSource source = source_of(island, exact);
    const auto begin = static_cast<std::int64_t>(i) * request.n;
    const at::Tensor hidden = all.slice(0, begin, begin + request.n);
    island.batches.push_back(sweeps.empty()
                                 ? source.of_exact(request, island.sample, hidden, twist)
                                 : source.of_expanded(request, std::move(sweeps[i]), hidden, twist));
  }
}

void ConditionalIslands::rescore(const twist::Trainable& twist) {
  for (Island& island : mine_) {
    if (island.problem().lm.revision() != island.batches.front().revision)
      island.given = conditional_.problems.given(island.observation);  // its encoding has changed too
    const exact::Source exact = source_of_one(island.sample);
    const BatchSource source = source_of(island, exact);
    for (Batch& batch : island.batches) source.rescore(batch, twist);
  }
}

}  // namespace twistor::learn
