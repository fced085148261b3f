// SPDX-License-Identifier: Apache-2.0
// Counting what ranks would send one another.
#include "twistor/smc/rank_simulator.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "twistor/base/philox.hpp"
#include "twistor/base/reproducible_sum.hpp"
#include "twistor/base/stopwatch.hpp"

namespace twistor::smc {
namespace {

std::int64_t row_bytes(const at::Tensor& rows) {
  return rows.size(1) * static_cast<std::int64_t>(rows.element_size());
}

/// What every rank sends and receives in one resampling.
struct Traffic {
  std::vector<std::int64_t> sent, received, messages_out, messages_in;
  explicit Traffic(int n_ranks)
      : sent(static_cast<std::size_t>(n_ranks)),
        received(sent.size()),
        messages_out(sent.size()),
        messages_in(sent.size()) {}
  static std::int64_t most(std::span<const std::int64_t> a, std::span<const std::int64_t> b) {
    std::int64_t out = 0;
    for (std::size_t r = 0; r < a.size(); ++r) out = std::max({out, a[r], b[r]});
    return out;
  }
};

}  // namespace

TravelBytes travel_bytes(const Problem& problem, const Proposal& proposal, Order order) {
  const model::CacheUse use = problem.start->cache->use();
  const bool has_scores = order == Order::resample_first && proposal.weight_is_known_before_draw();
  TravelBytes out;
  out.block = use.live_blocks == 0 ? 0 : use.live_bytes / use.live_blocks;
  out.row =
      row_bytes(problem.start->hidden) + std::int64_t{sizeof(std::size_t)} + 3 * std::int64_t{sizeof(double)};
  if (has_scores) {
    RowScores scores = proposal.score(problem.start->hidden.contiguous());
    for (const at::Tensor* const tensor : scores.tensors()) out.row += row_bytes(*tensor);
    out.row += 2 * std::int64_t{sizeof(double)};
  }
  out.step = std::int64_t{sizeof(std::int64_t)} + 3 * std::int64_t{sizeof(double)};
  return out;
}

RankSimulator::RankSimulator(std::int64_t K, int n_ranks, std::int64_t prompt_tokens, TravelBytes bytes)
    : bytes_(bytes), census_(Layout::blocks(K, n_ranks), prompt_tokens) {}

void RankSimulator::resampled(const Resampled& next, std::int64_t n_drawn, std::int64_t cache_tokens) {
  const auto [told, of_others] = timed(counts_.work_s, [&] {
    std::vector<Assignment> all = census_.resampled(next);
    std::int64_t n_bytes = 0;
    for (std::size_t r = 1; r < all.size(); ++r)
      n_bytes += static_cast<std::int64_t>(to_bytes(all[r]).size());
    return std::pair(std::move(all), n_bytes);
  });
  ++counts_.resamplings;
  counts_.told_bytes += of_others;
  const std::int64_t n_blocks = (cache_tokens + model::block_tokens - 1) / model::block_tokens;
  const std::int64_t of_each = n_drawn * bytes_.step + bytes_.row;
  Traffic traffic(census_.layout().n_ranks());
  for (std::size_t from = 0; from < told.size(); ++from) {
    std::int32_t peer = -1;
    for (const Travel& travel : told[from].sends) {
      const auto to = static_cast<std::size_t>(travel.peer);
      const std::int64_t bytes = of_each + (n_blocks - travel.shared_blocks) * bytes_.block;
      ++counts_.copies;
      counts_.bytes += bytes;
      traffic.sent[from] += bytes;
      traffic.received[to] += bytes;
      if (travel.peer == std::exchange(peer, travel.peer)) continue;
      ++counts_.messages;
      ++traffic.messages_out[from];
      ++traffic.messages_in[to];
    }
    counts_.moved +=
        std::ranges::count_if(told[from].origins, [](std::int32_t origin) { return origin < 0; });
  }
  const std::int64_t busiest = Traffic::most(traffic.sent, traffic.received);
  counts_.busiest_bytes += busiest;
  counts_.peak_bytes = std::max(counts_.peak_bytes, busiest);
  counts_.busiest_messages += Traffic::most(traffic.messages_out, traffic.messages_in);
}

Spread spread_of(std::span<const double> ess, std::int64_t n, Trigger trigger, double ess_threshold) {
  Spread out;
  double before = 0;  // variance since the last resampling
  for (const double value : ess) {
    const double share = std::clamp(value / static_cast<double>(n), 1 / static_cast<double>(n), 1.0);
    const double variance = -std::log(share);
    out.sd.push_back(std::sqrt(std::max(0.0, variance - before)));
    const bool is_resampled =
        trigger == Trigger::every_step || (trigger == Trigger::ess && share < ess_threshold);
    before = is_resampled ? 0 : variance;
  }
  return out;
}

RankCounts simulate_sweep(const SweepOptions& options, int n_ranks, std::int64_t prompt_tokens,
                          TravelBytes bytes, const Spread& spread, bool is_before_draw) {
  const std::int64_t K = options.particles;
  RankSimulator ranks(K, n_ranks, prompt_tokens, bytes);
  Genealogy genealogy(K);
  std::vector<double> log_w(static_cast<std::size_t>(K));
  for (std::int64_t t = 0; t < options.length; ++t) {
    const double sd =
        static_cast<std::size_t>(t) < spread.sd.size() ? spread.sd[static_cast<std::size_t>(t)] : 0;
    WeightSums sums;
    for (std::int64_t i = 0; i < K; ++i) {
      double& w = log_w[static_cast<std::size_t>(i)];
      if (sd > 0)
        w += sd *
             Philox(options.seed, Stream::test, static_cast<std::uint32_t>(t), static_cast<std::uint64_t>(i))
                 .normal();
      sums.add(w);
    }
    const bool is_last = t + 1 == options.length;
    const bool may_resample = is_before_draw ? t > 0 : !is_last;
    const bool is_asked =
        options.trigger == Trigger::every_step ||
        (options.trigger == Trigger::ess && sums.ess() < options.ess_threshold * static_cast<double>(K));
    if (may_resample && is_asked) {
      const Stopwatch of_schemes;
      const Resampled next =
          smc::resample(options.scheme, log_w, options.seed, static_cast<std::uint32_t>(t));
      genealogy.resampled(options.scheme, next.ancestor_of_id, sums.ess());
      ranks.counts().work_s += of_schemes.seconds();
      ranks.resampled(next, is_before_draw ? t : t + 1, prompt_tokens + t);
      std::ranges::fill(log_w, 0.0);
    }
    if (!is_last) ranks.grown_to(prompt_tokens + t + 1);
  }
  return ranks.counts();
}

std::int64_t population_bytes(std::int64_t K, std::int64_t n_levels) {
  // Once ancestors are drawn and places planned: weights, integer weights, ancestors, and assignments twice,
  // for all ranks and as messages, with 16 bytes each; hosts before and after, families, founders with room
  // for their next, places, copies, and names with room for their next and for holders, of 4.
  return K * (3 * 8 + 2 * 16 + 4 * (2 + 2 + 2 + 1 + 1 + n_levels + 2));
}

}  // namespace twistor::smc
