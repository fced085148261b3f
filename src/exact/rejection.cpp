// SPDX-License-Identifier: Apache-2.0
// Rejection sampling over numbered draws, alone and on many ranks.
#include "twistor/exact/rejection.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "twistor/base/error.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/model/log_prob.hpp"

namespace twistor::exact {
namespace {

/// All ranks' accepted draws of one round, in order of draw number. *Collective over comm.*
std::vector<AcceptedDraw> gather(const std::vector<AcceptedDraw>& mine, std::int64_t T,
                                 const comm::Communicator& comm) {
  std::vector<std::int64_t> integers;
  std::vector<double> reals;
  for (const AcceptedDraw& a : mine) {
    integers.push_back(a.draw);
    integers.insert(integers.end(), a.tokens.begin(), a.tokens.end());
    reals.insert(reals.end(), {a.log_p0, a.log_phi});
  }
  const auto all_integers = comm::all_gather(std::span<const std::int64_t>(integers), comm);
  const auto all_reals = comm::all_gather(std::span<const double>(reals), comm);
  std::vector<AcceptedDraw> out;
  for (std::size_t i = 0; 2 * i < all_reals.size(); ++i) {
    const auto at = all_integers.begin() + static_cast<std::ptrdiff_t>(i) * (T + 1);
    out.push_back({*at, {at + 1, at + 1 + T}, all_reals[2 * i], all_reals[2 * i + 1]});
  }
  std::ranges::sort(out, {}, &AcceptedDraw::draw);
  return out;
}

}  // namespace

std::int64_t draws_allowed(std::int64_t budget, std::int64_t n_accepted) {
  return n_accepted > 0 ? budget : budget / 2 + budget % 2;
}

std::int64_t next_round(const RoundPlan& plan) {
  TWISTOR_ASSERT(plan.n_accepted < plan.n_wanted && plan.n_draws < plan.max_draws,
                 "a round is planned while samples and budget are left");
  const std::int64_t missing = plan.n_wanted - plan.n_accepted;
  // One draw gives one sample at most, so `missing` draws are never too many.
  double draws = static_cast<double>(missing);
  if (plan.n_accepted > 0) {
    constexpr double reserve =
        1.1;  // acceptance is known roughly; a second round costs more than a few draws
    draws *= reserve * static_cast<double>(plan.n_draws) / static_cast<double>(plan.n_accepted);
  } else {
    draws = std::max(draws, static_cast<double>(plan.n_draws));
  }
  draws = std::min(draws, static_cast<double>(std::max(plan.n_draws, missing)));
  draws =
      std::clamp(draws, static_cast<double>(std::min(plan.least, plan.most)), static_cast<double>(plan.most));
  return std::min(static_cast<std::int64_t>(draws), plan.max_draws - plan.n_draws);
}

RejectionSampler::RejectionSampler(const model::LanguageModel& lm, const potential::Potential& potential,
                                   std::vector<std::int64_t> prompt, std::int64_t T, std::uint64_t seed)
    : sampler_(lm, prompt),
      potential_(potential),
      prompt_(std::move(prompt)),
      T_(T),
      seed_(seed),
      log_bound_(potential.log_phi_bound()) {
  TWISTOR_CHECK(std::isfinite(log_bound_), ErrorKind::config, "preparing rejection sampling",
                fmt::format("the potential ({}) has no finite upper bound", potential.description()),
                "take exact samples by enumeration or a joint draw, or a potential that is bounded (for "
                "token scores in "
                "bag mode, set target.length)");
}

std::vector<AcceptedDraw> RejectionSampler::accepted(const DrawRange& range) const {
  TWISTOR_ASSERT(range.first >= 0 && range.stride >= 1, "draw numbers count up from 0");
  std::vector<AcceptedDraw> result;
  std::vector<std::int64_t> draws;
  for (std::int64_t next = range.first; next < range.end;) {
    draws.clear();
    for (; next < range.end && static_cast<std::int64_t>(draws.size()) < model::row_chunk;
         next += range.stride)
      draws.push_back(next);
    const auto samples = sampler_.sample(T_, draws, seed_, Stream::exact_tokens);
    const auto log_phi = potential_.log_phi({prompt_, samples.tokens, T_});
    for (std::size_t i = 0; i < draws.size(); ++i) {
      Philox random(seed_, Stream::exact_rejection, 0, static_cast<std::uint64_t>(draws[i]));
      if (!(std::log(random.uniform()) < log_phi[i] - log_bound_)) continue;
      const auto begin = samples.tokens.begin() + static_cast<std::ptrdiff_t>(i) * T_;
      result.push_back({draws[i], {begin, begin + T_}, samples.log_p0[i], log_phi[i]});
    }
  }
  return result;
}

void append(store::ExactSamples& set, std::span<const std::int64_t> tokens, double log_p0, double log_phi) {
  set.tokens.values.insert(set.tokens.values.end(), tokens.begin(), tokens.end());
  ++set.tokens.shape[0];
  set.log_p0.push_back(log_p0);
  set.log_phi.push_back(log_phi);
}

void add_round(const RejectionSampler& sampler, const RejectionLimits& limits, store::ExactSamples& set,
               const comm::Communicator& comm) {
  const std::int64_t end = set.n_draws + next_round({.n_wanted = limits.count,
                                                     .n_accepted = set.n(),
                                                     .n_draws = set.n_draws,
                                                     .max_draws = draws_allowed(limits.budget, set.n()),
                                                     .least = limits.least_per_rank * comm.size(),
                                                     .most = limits.most_per_rank * comm.size()});
  const auto accepted =
      gather(sampler.accepted({set.n_draws + comm.rank(), end, comm.size()}), set.length, comm);
  set.n_draws = end;
  for (const AcceptedDraw& a : accepted) {
    if (set.n() == limits.count) break;
    append(set, a.tokens, a.log_p0, a.log_phi);
    if (set.n() == limits.count) set.n_draws = a.draw + 1;
  }
}

}  // namespace twistor::exact
