// SPDX-License-Identifier: Apache-2.0
// Weights of positive samples, and where they come from if nobody says so.
#include "twistor/learn/positives.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "twistor/base/log_space.hpp"
#include "twistor/base/reproducible_sum.hpp"
#include "twistor/learn/contrast.hpp"

namespace twistor::learn {
namespace {

const Batch* find_batch(std::span<const Batch> batches, bool (*is_wanted)(Source)) {
  const auto found =
      std::ranges::find_if(batches, [&](const Batch& batch) { return is_wanted(batch.request.source); });
  return found == batches.end() ? nullptr : &*found;
}

}  // namespace

std::vector<double> PositiveWeights::per_step(const Batch& batch) const {
  const std::int64_t k = batch.samples.size();
  std::vector<double> out(static_cast<std::size_t>(k));
  for (std::int64_t i = 0; i < k; ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (batch.request.source != Source::proposal)
      out[at] = per_step_of(batch, i, is_population(batch.request.source) ? 1 : exact_share);
    else if (!weighted.empty())
      out[at] = weighted[at] / static_cast<double>(batch.samples.T);
  }
  return out;
}

std::vector<double> PositiveWeights::of_likelihood(const Batch& batch) const {
  std::vector<double> out;
  for (const double weight : per_step(batch))
    out.insert(out.end(), static_cast<std::size_t>(batch.samples.T), -weight);
  return out;
}

std::vector<std::pair<std::string, double>> PositiveWeights::numbers() const {
  std::vector<std::pair<std::string, double>> out{{"phi_power", power}};
  if (population_ess > 0) out.emplace_back("positive_ess", population_ess);
  return out;
}

std::vector<Request> PositiveSamples::own_requests() const {
  if (options_.positives == Positives::weighted) return {};
  const Source source = has_exact()                            ? Source::exact
                        : options_.positives == Positives::smc ? Source::smc
                                                               : Source::conditional;
  return {{source, options_.positive_batch}};
}

std::vector<Request> PositiveSamples::requests() const {
  std::vector<Request> out;
  if (has_weighted()) out.push_back({Source::proposal, options_.batch});
  for (const Request& request : own_requests()) out.push_back(request);
  return out;
}

PositiveWeights PositiveSamples::weigh(std::span<const Batch> batches, std::int64_t update,
                                       const comm::Communicator& world) const {
  PositiveWeights out;
  if (has_exact()) out.exact_share = 1;
  if (const Batch* const population = find_batch(batches, is_population)) {
    out.population_ess = population->weight_ess;
    if (out.population_ess == 0)
      out.skipped =
          "no particle had phi > 0; name a sequence that has (train.positive_ids), set a finite "
          "target.log_floor, or raise train.positive_batch";
  }
  if (!has_weighted()) return out;
  const Batch& q = *find_batch(batches, [](Source source) { return source == Source::proposal; });
  if (update < options_.anneal) out.power = annealed_power(q.samples, q.log_phi, options_.anneal_ess, world);
  std::vector<double> log_phi = q.log_phi;
  for (double& value : log_phi) value *= out.power;
  if (auto found = positive_weights(q.samples, log_phi, world)) {
    out.exact_share = has_exact() ? 0.5 : 0.0;
    out.weighted = *std::move(found);
    for (double& weight : out.weighted) weight *= 1 - out.exact_share;
  } else if (!has_exact()) {
    out.skipped =
        "no sample of the proposal had phi > 0; use train.positives = auto or exact, a target.log_floor, or "
        "a larger train.batch";
  }
  return out;
}

void forget_after_end(const Batch& batch, const model::EndRule& rule, std::vector<double>& numbers) {
  const std::vector<char> ended = rule.mask(batch.samples.tokens, batch.samples.T);
  for (std::size_t i = 0; i < numbers.size(); ++i)
    if (ended[i] != 0) numbers[i] = 0;
}

double per_step(const Batch& batch, double share) {
  return share / static_cast<double>(batch.request.n * batch.samples.T);
}

double per_step_of(const Batch& batch, std::int64_t i, double share) {
  if (batch.weight.empty()) return per_step(batch, share);
  return share * batch.weight[static_cast<std::size_t>(i)] / static_cast<double>(batch.samples.T);
}

bool learns_from_exact(Positives positives, std::int64_t n) {
  switch (positives) {
    case Positives::exact:
    case Positives::both:
      return true;
    case Positives::conditional:
    case Positives::automatic:
      return n > 1;
    case Positives::weighted:
    case Positives::smc:
      return false;
  }
  return false;
}

PositiveChoice choose_positives(const PositiveFacts& facts, const ObjectiveOptions& options) {
  const auto drawn = [&](std::string_view what) {
    return fmt::format("{} of {} samples of p0 {} phi > 0, and their effective number is {:.3g}",
                       facts.n_positive, facts.n_drawn, what, facts.ess);
  };
  if (facts.n_exact >= options.positive_batch)
    return {Positives::exact, false,
            fmt::format("there are {} exact samples to learn from, and an update asks for {}", facts.n_exact,
                        options.positive_batch)};
  if (facts.n_exact > 0)
    return {Positives::conditional, false,
            fmt::format("there are {} exact samples to learn from, too few for an update's {}: populations "
                        "around the first make more",
                        facts.n_exact, options.positive_batch)};
  if (facts.is_one_known)
    return {Positives::conditional, false, "train.positive_ids names a sequence with phi > 0"};
  if (facts.n_positive == facts.n_drawn)
    return {Positives::weighted, true,
            drawn("have") + ": phi^b with b rising to 1 in the first half of the updates"};
  if (facts.ess >= options.anneal_ess) return {Positives::weighted, false, drawn("have")};
  return {Positives::conditional, false,
          drawn("have") + (facts.n_positive > 0 ? ": populations around one of them make more"
                                                : ": learning begins with the first positive that is found")};
}

SettledPositives settle_positives(const ObjectiveOptions& options, const TrainOptions& train,
                                  const exact::Target& target, std::int64_t n_exact,
                                  const comm::Communicator& world) {
  SettledPositives out{options, train, {}};
  if (options.positives != Positives::automatic) return out;
  PositiveFacts facts{.n_exact = n_exact, .is_one_known = !train.known_positive.empty()};
  std::vector<std::int64_t> found;
  if (n_exact == 0 && !facts.is_one_known) {
    constexpr std::int64_t least_drawn = 256;
    facts.n_drawn = std::max(least_drawn, options.batch);
    const exact::BaseDraws draws =
        exact::draw_base(target, facts.n_drawn, train.seed, world, Stream::positive_check);
    WeightSums weights;
    for (std::size_t i = 0; i < draws.log_phi.size(); ++i) {
      weights.add(draws.log_phi[i]);
      if (draws.log_phi[i] == log_zero) continue;
      ++facts.n_positive;
      const auto first = draws.tokens.begin() + static_cast<std::ptrdiff_t>(i) * target.length;
      if (found.empty()) found.assign(first, first + target.length);
    }
    if (facts.n_positive > 0) facts.ess = weights.ess();
  }
  PositiveChoice choice = choose_positives(facts, options);
  out.options.positives = choice.positives;
  if (choice.anneals) out.options.anneal = std::max(options.anneal, train.n_updates / 2);
  if (choice.positives == Positives::conditional && !facts.is_one_known)
    out.train.known_positive = std::move(found);
  out.why = fmt::format("{}: {}", name_of(choice.positives), choice.why);
  return out;
}

}  // namespace twistor::learn
