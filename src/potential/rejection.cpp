// Rejection sampling over numbered draws.
#include "twistor/potential/rejection.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "twistor/base/error.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/model/log_prob.hpp"

namespace twistor::potential {

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

RejectionSampler::RejectionSampler(const model::LanguageModel& lm, const Potential& potential,
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

RejectionResult RejectionSampler::run(const RejectionOptions& options,
                                      const std::function<bool(const RejectionProgress&)>& progress) const {
  TWISTOR_CHECK(options.n_wanted >= 1 && options.max_draws >= 1 && options.batch >= 1, ErrorKind::usage,
                "rejection sampling",
                fmt::format("n_wanted = {}, max_draws = {}, batch = {} (expected at least 1 each)",
                            options.n_wanted, options.max_draws, options.batch));
  RejectionResult result;
  while (!result.is_complete && result.n_draws < options.max_draws) {
    const std::int64_t end =
        result.n_draws + next_round({.n_wanted = options.n_wanted,
                                     .n_accepted = static_cast<std::int64_t>(result.samples.size()),
                                     .n_draws = result.n_draws,
                                     .max_draws = options.max_draws,
                                     .most = options.batch});
    auto fresh = accepted({result.n_draws, end, 1});
    result.n_draws = end;
    const auto missing = static_cast<std::size_t>(options.n_wanted) - result.samples.size();
    if (fresh.size() >= missing) {
      fresh.resize(missing);
      result.n_draws = fresh.back().draw + 1;
      result.is_complete = true;
    }
    result.samples.insert(result.samples.end(), fresh.begin(), fresh.end());
    if (progress && !progress({result.n_draws, fresh, static_cast<std::int64_t>(result.samples.size())}))
      break;
  }
  return result;
}

}  // namespace twistor::potential
