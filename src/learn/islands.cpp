// SPDX-License-Identifier: Apache-2.0
// Drawing islands, and what they say together.
#include "islands.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "twistor/base/error.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/base/reproducible_sum.hpp"
#include "twistor/base/stopwatch.hpp"
#include "twistor/base/strings.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/smc/forced_pass.hpp"
#include "twistor/smc/proposal.hpp"

namespace twistor::learn {
namespace {

exact::Source source_of_one(const std::vector<std::int64_t>& sample) {
  return {1, [&sample](std::int64_t) { return sample; }};
}

void scale_parts(std::vector<std::vector<double>>& parts, double factor) {
  for (std::vector<double>& part : parts)
    for (double& x : part) x *= factor;
}

}  // namespace

Conditional conditional(const smc::ConditionalProblem& problems, const exact::JointSampler* pairs,
                        std::int64_t observations) {
  TWISTOR_CHECK(pairs != nullptr, ErrorKind::config, "starting to learn",
                "twist.condition learns from observations that are drawn, and the configuration names one",
                "leave target.text, target.ids and target.class empty, or set twist.condition = none");
  return {problems, *pairs, observations};
}

BatchSource Islands::source_of(const Island& island, const exact::Source& exact) const {
  return {island.given->problem(), length_, Shards(1, self_), exact, self_};
}

void Islands::draw(const Objective& objective, const twist::Trainable& twist, std::uint64_t seed,
                   UpdateTimes& times) {
  const std::int64_t m = conditional_.observations, first = shards_.begin_of_rank(m);
  std::vector<std::int64_t> indices;
  for (std::int64_t i = 0; i < shards_.begin(m, shards_.n_local); ++i) indices.push_back(first + i);
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

std::vector<smc::Sweep> Islands::sweep(const Request& request, const smc::SweepOptions& options,
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
void Islands::draw_samples(const Request& request, std::int64_t number, const smc::GivenProblem& together,
                           const twist::Trainable& twist, smc::SweepCounters& counters) {
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

void Islands::expand(const Request& request, const smc::GivenProblem& together, const twist::Trainable& twist,
                     bool may_resample, smc::SweepCounters& counters) {
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

void Islands::rescore(const twist::Trainable& twist) {
  for (Island& island : mine_) {
    if (island.given->problem().lm.revision() != island.batches.front().revision)
      island.given = conditional_.problems.given(island.observation);  // its encoding has changed too
    const exact::Source exact = source_of_one(island.sample);
    const BatchSource source = source_of(island, exact);
    for (Batch& batch : island.batches) source.rescore(batch, twist);
  }
}

std::vector<FixedPointSum> Islands::sums_of_all(const Objective& objective, const twist::Trainable& twist,
                                                std::int64_t update) const {
  std::vector<FixedPointSum> sums(static_cast<std::size_t>(objective.n_sums()));
  if (sums.empty()) return sums;
  for (const Island& island : mine_)
    objective.add_sums(island.batches, {island.given->problem(), twist, update}, sums);
  comm::all_reduce(std::span(sums), world_);
  return sums;
}

void Islands::ask(Island& island, const Objective& objective, const Current& current) const {
  island.terms = objective.terms(island.batches, current, self_);
  if (island.terms.skipped.empty()) return;
  for (auto* const parts : {&island.terms.on_score, &island.terms.on_log_q, &island.terms.on_value})
    parts->assign(island.batches.size(), {});
  island.terms.loss.emplace();
}

Islands::Summary Islands::summarise() {
  // A row for each island: whether it is skipped, log Z, loss, then the numbers, whose names are the same.
  std::vector<double> rows;
  std::string names, skipped;
  for (Island& island : mine_) {
    Terms& terms = island.terms;
    double log_z = std::numeric_limits<double>::quiet_NaN();
    std::vector<std::pair<std::string, double>> numbers;
    for (const Batch& batch : island.batches) {
      if (batch.request.source == Source::exact) continue;
      if (std::isnan(log_z)) log_z = batch.log_z;
      if (batch.request.source != Source::proposal || !numbers.empty()) continue;
      const BatchMeans means = means_of(batch, self_);
      numbers = {{"f_q", means.f_q}, {"log_phi", means.log_phi}};
    }
    numbers.insert(numbers.end(), terms.numbers.begin(), terms.numbers.end());
    rows.insert(rows.end(), {terms.skipped.empty() ? 0.0 : 1.0, log_z, terms.loss->value()});
    names.clear();
    for (const auto& [name, value] : numbers) {
      names += names.empty() ? name : "," + name;
      rows.push_back(value);
    }
    if (!terms.skipped.empty()) skipped = terms.skipped;
    const double share = 1.0 / static_cast<double>(conditional_.observations);
    for (auto* const parts : {&terms.on_score, &terms.on_log_q, &terms.on_value}) scale_parts(*parts, share);
  }
  const std::vector<double> all = comm::all_gather(std::span<const double>(rows), world_);
  // The first rank that has islands tells the others what the numbers are called.
  const std::int64_t speaker =
      world_.size() -
      comm::all_reduce_max(std::int64_t{mine_.empty() ? 0 : world_.size() - world_.rank()}, world_);
  comm::broadcast(names, static_cast<int>(speaker), world_);
  comm::broadcast(skipped, static_cast<int>(speaker), world_);
  Summary out;
  const std::size_t m = static_cast<std::size_t>(conditional_.observations), width = all.size() / m;
  const auto mean = [&](std::size_t column) {  // in the order of islands
    double sum = 0;
    for (std::size_t i = 0; i < m; ++i) sum += all[i * width + column];
    return sum / static_cast<double>(m);
  };
  out.log_z = mean(1);
  out.loss = mean(2);
  std::size_t column = 3;
  for (const std::string_view name : split(names, ','))
    if (!name.empty()) out.numbers.emplace_back(name, mean(column++));
  if (mean(0) == 1) out.skipped = skipped;
  return out;
}

std::span<const Island> Islands::of_shard(std::int64_t s) const {
  const std::int64_t m = conditional_.observations;
  const auto begin = static_cast<std::size_t>(shards_.begin(m, s)),
             end = static_cast<std::size_t>(shards_.begin(m, s + 1));
  return std::span(mine_).subspan(begin, end - begin);
}

}  // namespace twistor::learn
