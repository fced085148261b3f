// SPDX-License-Identifier: Apache-2.0
// Drawing the samples of an update.
#include "twistor/learn/batch.hpp"

#include <ATen/ops/cat.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <unordered_map>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/exact/base_sampler.hpp"
#include "twistor/smc/forced_pass.hpp"
#include "twistor/smc/proposal.hpp"
#include "whole_population.hpp"

namespace twistor::learn {
namespace {

constexpr std::size_t sequences_at_once = 64;  // as in smc::hidden_states()

/// The states before the tokens of the sequences [begin, end), (n T, D).
at::Tensor hidden_of(const Batch& batch, std::int64_t begin, std::int64_t end) {
  return at::cat({batch.hidden.data() + begin, static_cast<std::size_t>(end - begin)});
}

void add_values(Batch& batch, const twist::Trainable& twist) {
  batch.value.clear();
  for (const at::Tensor& hidden : batch.hidden) {
    const std::vector<double> values = twist.values(hidden);
    batch.value.insert(batch.value.end(), values.begin(), values.end());
  }
  if (batch.drawn_value.empty()) batch.drawn_value = batch.value;
}

/// (k, T, D) as k times (T, D).
std::vector<at::Tensor> sequences_of(const at::Tensor& hidden) {
  std::vector<at::Tensor> out;
  for (std::int64_t i = 0; i < hidden.size(0); ++i) out.push_back(hidden.select(0, i));
  return out;
}

}  // namespace

smc::ProposalKind proposal_kind(Source source) {
  return source == Source::base ? smc::ProposalKind::base : smc::ProposalKind::twisted;
}

Shards::Shards(std::int64_t n_shards, const comm::Communicator& world) : n_all(n_shards) {
  const std::int64_t P = world.size(), r = world.rank();
  first = n_shards * r / P;
  n_local = n_shards * (r + 1) / P - first;
}

BatchSource::BatchSource(const smc::Problem& problem, std::int64_t length, const Shards& shards,
                         const exact::Source& exact, const comm::Communicator& world,
                         PopulationOptions population, std::int64_t kept_bytes)
    : problem_(problem),
      length_(length),
      shards_(shards),
      exact_(exact),
      world_(world),
      population_(std::move(population)),
      kept_(kept_bytes) {}

Batch BatchSource::draw(const Request& request, std::int64_t number, const twist::Trainable& twist,
                        std::uint64_t seed, smc::SweepCounters& counters) {
  if (request.source == Source::proposal || request.source == Source::base)
    return sweep(request, number, twist, seed, counters);
  Batch batch = request.source == Source::exact    ? exact_samples(request, number, seed)
                : request.source == Source::reroll ? reroll(request, seed)
                : request.source == Source::round  ? of_round(request, number, seed)
                                                   : population(request, number, twist, seed, counters);
  rescore(batch, twist);
  return batch;
}

smc::SweepOptions BatchSource::sweep_options(const Request& request) const {
  smc::SweepOptions options;
  options.particles = request.n;
  options.length = length_;
  options.trigger = smc::Trigger::never;
  options.n_shards = shards_.n_all;
  options.keep_hidden = true;
  return options;
}

Batch BatchSource::sweep(const Request& request, std::int64_t number, const twist::Trainable& twist,
                         std::uint64_t seed, smc::SweepCounters& counters) const {
  const smc::Proposal proposal(problem_.lm, twist, proposal_kind(request.source));
  smc::SweepOptions options = sweep_options(request);
  options.seed = derive_seed(seed, Stream::negatives, static_cast<std::uint64_t>(number));
  smc::Sweep sweep = smc::sweep(problem_, proposal, options, world_);
  add_counters(counters, sweep.counters);
  return of_sweep(request, std::move(sweep), twist);
}

Batch BatchSource::of_sweep(const Request& request, smc::Sweep sweep, const twist::Trainable& twist) const {
  Batch batch{.request = request,
              .samples = std::move(sweep.particles),
              .log_phi = std::move(sweep.log_phi),
              .hidden = {},
              .log_z = sweep.log_z};
  batch.samples.cache.reset();
  batch.hidden = sequences_of(sweep.hidden);
  batch.revision = problem_.lm.revision();
  if (request.source == Source::proposal) {
    if (request.needs_log_q) batch.log_q = batch.samples.log_q;
    if (request.needs_value) add_values(batch, twist);
  } else if (request.needs_log_q || request.needs_value) {
    rescore(batch, twist);
  }
  return batch;
}

/// After resampling particles are anywhere: all ranks learn of all, and each keeps those of its shards.
Batch BatchSource::population(const Request& request, std::int64_t number, const twist::Trainable& twist,
                              std::uint64_t seed, smc::SweepCounters& counters) {
  const bool is_conditional = request.source == Source::conditional;
  std::vector<std::int64_t>& pinned = population_.known;
  if (is_conditional && pinned.empty() && exact_.n > 0) pinned = exact_.sample(0);
  const bool is_pinned = is_conditional && !pinned.empty();
  const smc::SweepOptions options{
      .particles = request.n,
      .length = length_,
      .trigger = population_.resamples ? smc::Trigger::ess : smc::Trigger::never,
      .seed = derive_seed(seed, Stream::positives, static_cast<std::uint64_t>(number))};
  const smc::Proposal proposal(problem_.lm, twist, smc::ProposalKind::twisted);
  const smc::Sweep sweep =
      smc::sweep(problem_, proposal, options, world_,
                 is_pinned ? std::optional<std::span<const std::int64_t>>(pinned) : std::nullopt);
  add_counters(counters, sweep.counters);
  const WholePopulation whole(sweep, length_, world_);
  if (is_conditional && sweep.log_weight_sum != log_zero) pinned = whole.choose(options.seed);
  const std::int64_t begin = shards_.begin_of_rank(request.n), n = shards_.begin(request.n, shards_.n_local);
  std::vector<std::int64_t> ids(static_cast<std::size_t>(n));
  std::iota(ids.begin(), ids.end(), begin);
  Batch batch{.request = request,
              .samples = smc::Population(length_, std::move(ids)),
              .log_phi = {},
              .hidden = {},
              .weight_ess = sweep.log_weight_sum == log_zero ? 0 : sweep.final_ess,
              .log_z = is_pinned ? std::numeric_limits<double>::quiet_NaN() : sweep.log_z,
              .revision = problem_.lm.revision()};
  const auto mine =
      std::span(whole.particles).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(n));
  batch.samples.tokens.clear();
  for (const WholePopulation::Particle& particle : mine) {
    batch.samples.tokens.insert(batch.samples.tokens.end(), particle.tokens.begin(), particle.tokens.end());
    batch.log_phi.push_back(particle.log_phi);
    batch.weight.push_back(particle.log_w == log_zero ? 0 : std::exp(particle.log_w - sweep.log_weight_sum));
  }
  if (n == 0) return batch;
  batch.hidden = sequences_of(smc::hidden_states(problem_, length_, batch.samples.tokens));
  return batch;
}

smc::SweepOptions BatchSource::expand_options(const Request& request, bool may_resample) const {
  smc::SweepOptions options;
  options.particles = request.n;
  options.length = length_;
  options.trigger = may_resample ? smc::Trigger::every_step : smc::Trigger::never;
  return options;
}

Batch BatchSource::expand(const Request& request, const twist::Trainable& twist, bool may_resample,
                          std::uint64_t seed, smc::SweepCounters& counters) {
  TWISTOR_ASSERT(exact_.n == 1, "one exact sample is expanded");
  if (request.n == 1) return draw(request, 0, twist, seed, counters);
  const smc::Proposal proposal(problem_.lm, twist, smc::ProposalKind::twisted);
  smc::SweepOptions options = expand_options(request, may_resample);
  options.seed = derive_seed(seed, Stream::positives, 0);
  const std::vector<std::int64_t> sample = exact_.sample(0);
  smc::Sweep sweep = smc::sweep(problem_, proposal, options, world_, std::span(sample));
  add_counters(counters, sweep.counters);
  const at::Tensor hidden = smc::hidden_states(problem_, length_, sweep.particles.tokens);
  return of_expanded(request, std::move(sweep), hidden, twist);
}

Batch BatchSource::of_expanded(const Request& request, smc::Sweep sweep, const at::Tensor& hidden,
                               const twist::Trainable& twist) const {
  Batch batch{.request = request,
              .samples = std::move(sweep.particles),
              .log_phi = std::move(sweep.log_phi),
              .hidden = sequences_of(hidden),
              .log_z = std::numeric_limits<double>::quiet_NaN(),
              .revision = problem_.lm.revision()};
  for (const double log_w : batch.samples.log_w)
    batch.weight.push_back(std::exp(log_w - sweep.log_weight_sum));
  batch.samples.cache.reset();
  if (request.needs_log_q) batch.log_q = batch.samples.log_q;
  if (request.needs_value) add_values(batch, twist);
  return batch;
}

Batch BatchSource::of_exact(const Request& request, std::vector<std::int64_t> tokens,
                            const at::Tensor& hidden, const twist::Trainable& twist) const {
  std::vector<std::int64_t> ids(static_cast<std::size_t>(request.n));
  std::iota(ids.begin(), ids.end(), std::int64_t{0});
  Batch batch{.request = request,
              .samples = smc::Population(length_, std::move(ids)),
              .log_phi = {},
              .hidden = sequences_of(hidden),
              .log_z = std::numeric_limits<double>::quiet_NaN(),
              .revision = problem_.lm.revision()};
  batch.samples.tokens = std::move(tokens);
  rescore(batch, twist);
  return batch;
}

BatchSource::Choice BatchSource::choose(const Request& request, std::int64_t number,
                                        std::uint64_t seed) const {
  const std::int64_t begin = shards_.begin_of_rank(request.n),
                     end = begin + shards_.begin(request.n, shards_.n_local);
  Choice out;
  for (std::int64_t j = begin; j < end; ++j) {
    Philox random(seed, Stream::exact_choice, static_cast<std::uint32_t>(number),
                  static_cast<std::uint64_t>(j));
    out.ids.push_back(j);
    out.indices.push_back(static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(exact_.n))));
  }
  return out;
}

Batch BatchSource::reroll(const Request& request, std::uint64_t seed) const {
  Choice choice = choose(request, 0, derive_seed(seed, Stream::reroll, 0));
  Batch batch{.request = request,
              .samples = smc::Population(length_, choice.ids),
              .log_phi = {},
              .hidden = {},
              .log_z = std::numeric_limits<double>::quiet_NaN(),
              .revision = problem_.lm.revision()};
  std::vector<std::int64_t>& tokens = batch.samples.tokens;
  tokens.clear();
  for (std::size_t i = 0; i < choice.ids.size(); ++i) {
    const std::int64_t id = choice.ids[i];
    Philox random(seed, Stream::reroll, 0, static_cast<std::uint64_t>(id));
    // At least one token is kept and one drawn, where there are two.
    const std::int64_t kept =
        length_ > 1 ? 1 + static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(length_ - 1)))
                    : 0;
    std::vector<std::int64_t> sequence = exact_.sample(choice.indices[i]);
    sequence.resize(static_cast<std::size_t>(kept));
    std::vector<std::int64_t> prefix(problem_.prompt.begin(), problem_.prompt.end());
    prefix.insert(prefix.end(), sequence.begin(), sequence.end());
    const std::vector<std::int64_t> rest =
        exact::sample_base(problem_.lm, prefix, length_ - kept, {&id, 1}, seed, Stream::reroll).tokens;
    tokens.insert(tokens.end(), sequence.begin(), sequence.end());
    tokens.insert(tokens.end(), rest.begin(), rest.end());
    batch.first_step.push_back(std::max<std::int64_t>(kept - 1, 0));
  }
  if (tokens.empty()) return batch;
  batch.log_phi = problem_.potential.log_phi({problem_.prompt, tokens, length_});
  batch.hidden = sequences_of(smc::hidden_states(problem_, length_, tokens));
  return batch;
}

Batch BatchSource::of_round(const Request& request, std::int64_t number, std::uint64_t seed) const {
  const std::int64_t begin = shards_.begin_of_rank(request.n), n = shards_.begin(request.n, shards_.n_local);
  std::vector<std::int64_t> ids(static_cast<std::size_t>(n));
  std::iota(ids.begin(), ids.end(), begin);
  Batch batch{.request = request,
              .samples = smc::Population(length_, std::move(ids)),
              .log_phi = std::vector<double>(static_cast<std::size_t>(n), log_zero),
              .hidden = {},
              .weight_ess = round_.ess(),
              .log_z = round_.log_z(),
              .revision = problem_.lm.revision()};
  if (batch.weight_ess > 0) {
    const std::uint64_t own = derive_seed(seed, Stream::round_choice, static_cast<std::uint64_t>(number));
    auto to = batch.samples.tokens.begin();
    for (std::size_t i = 0; const std::int64_t chosen : round_.choose(request.n, {begin, begin + n}, own)) {
      to = std::copy_n(round_.tokens.begin() + chosen * length_, length_, to);
      batch.log_phi[i++] = round_.log_phi[static_cast<std::size_t>(chosen)];
    }
  }
  if (n > 0) batch.hidden = sequences_of(smc::hidden_states(problem_, length_, batch.samples.tokens));
  return batch;
}

Batch BatchSource::exact_samples(const Request& request, std::int64_t number, std::uint64_t seed) {
  Choice choice = choose(request, number, seed);
  std::vector<std::int64_t> tokens;
  for (const std::int64_t index : choice.indices) {
    const std::vector<std::int64_t> sample = exact_.sample(index);
    tokens.insert(tokens.end(), sample.begin(), sample.end());
  }
  Batch batch{.request = request,
              .samples = smc::Population(length_, std::move(choice.ids)),
              .log_phi = {},
              .hidden = hidden_of_exact(choice.indices, tokens),
              .log_z = std::numeric_limits<double>::quiet_NaN(),
              .revision = problem_.lm.revision()};
  batch.samples.tokens = std::move(tokens);
  return batch;
}

std::vector<at::Tensor> BatchSource::hidden_of_exact(std::span<const std::int64_t> indices,
                                                     std::span<const std::int64_t> tokens) {
  kept_.require_revision(problem_.lm.revision());
  std::vector<at::Tensor> out;
  std::unordered_map<std::int64_t, at::Tensor> missing;
  std::vector<std::size_t> places;  // of the missing, each once
  for (std::size_t i = 0; i < indices.size(); ++i) {
    out.push_back(kept_.find(indices[i]));
    if (!out.back().defined() && missing.try_emplace(indices[i]).second) places.push_back(i);
  }
  for (std::size_t begin = 0; begin < places.size(); begin += sequences_at_once) {
    const auto chunk = std::span(places).subspan(begin, std::min(sequences_at_once, places.size() - begin));
    std::vector<std::int64_t> of_chunk;
    for (const std::size_t place : chunk) {
      const auto first = tokens.begin() + static_cast<std::ptrdiff_t>(place) * length_;
      of_chunk.insert(of_chunk.end(), first, first + length_);
    }
    const at::Tensor hidden = smc::hidden_states(problem_, length_, of_chunk);
    for (std::size_t i = 0; i < chunk.size(); ++i) {
      at::Tensor& one = missing.at(indices[chunk[i]]);
      one = hidden.select(0, static_cast<std::int64_t>(i)).clone();  // each can be forgotten by itself
      kept_.put(indices[chunk[i]], one);
    }
  }
  for (std::size_t i = 0; i < indices.size(); ++i)
    if (!out[i].defined()) out[i] = missing.at(indices[i]);
  return out;
}

void BatchSource::rescore(Batch& batch, const twist::Trainable& twist) const {
  smc::Population& p = batch.samples;
  if (batch.revision != problem_.lm.revision() && p.size() > 0) {  // the twist's body has learned since
    const at::Tensor hidden = smc::hidden_states(problem_, length_, p.tokens);
    for (std::int64_t i = 0; i < p.size(); ++i)
      batch.hidden[static_cast<std::size_t>(i)] = hidden.select(0, i);
    batch.revision = problem_.lm.revision();
  }
  if (batch.request.needs_log_q) batch.log_q.resize(p.tokens.size());
  for (std::int64_t s = 0; s < shards_.n_local; ++s) {  // one at a time, so that no copy of the batch is made
    const std::int64_t begin = shards_.begin(batch.request.n, s), end = shards_.begin(batch.request.n, s + 1);
    if (begin < end) score_part(batch, begin, end, twist);
  }
  problem_.lm.end_rule().carry(p.tokens, length_, p.log_psi);
  if (batch.request.needs_value) add_values(batch, twist);
}

/// Of the sequences [begin, end).
void BatchSource::score_part(Batch& batch, std::int64_t begin, std::int64_t end,
                             const twist::Trainable& twist) const {
  smc::Population& p = batch.samples;
  const auto tokens = std::span<const std::int64_t>(p.tokens).subspan(p.at(begin, 0), p.at(end - begin, 0));
  const at::Tensor hidden = hidden_of(batch, begin, end);
  const auto put = [&](const std::vector<double>& values, std::vector<double>& out) {
    std::ranges::copy(values, out.begin() + static_cast<std::ptrdiff_t>(p.at(begin, 0)));
  };
  if (!batch.request.needs_log_q) {
    put(twist::log_psi_at(twist, twist.features(hidden), tokens), p.log_psi);
    return;
  }
  const smc::Proposal q(problem_.lm, twist, smc::ProposalKind::twisted);
  std::vector<std::int64_t> rows(tokens.size());
  std::iota(rows.begin(), rows.end(), std::int64_t{0});
  const smc::Draws scored = q.score_tokens(q.score(hidden), hidden, rows, tokens);
  put(scored.log_psi, p.log_psi);
  put(scored.log_p0, p.log_p0);
  put(scored.log_q, batch.log_q);
}

}  // namespace twistor::learn
