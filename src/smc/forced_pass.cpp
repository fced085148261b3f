// SPDX-License-Identifier: Apache-2.0
// The teacher-forced pass.
#include "twistor/smc/forced_pass.hpp"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <numeric>

#include "select_rows.hpp"
#include "twistor/base/error.hpp"

namespace twistor::smc {
namespace {

constexpr std::int64_t sequences_at_once = 64;  // bounds the cache

}  // namespace

at::Tensor hidden_states(const Problem& problem, std::int64_t length, std::span<const std::int64_t> tokens) {
  const std::int64_t n = static_cast<std::int64_t>(tokens.size()) / length;
  const auto prompt = problem.with_start().start;
  const std::int64_t d = prompt->hidden.size(1), n_starts = prompt->hidden.size(0);
  TWISTOR_ASSERT(n % n_starts == 0, "as many sequences continue each start");
  std::vector<std::int64_t> start_of(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) start_of[static_cast<std::size_t>(i)] = i / (n / n_starts);
  at::Tensor out = at::empty({n, length, d}, prompt->hidden.options());
  out.select(1, 0).copy_(select_rows(prompt->hidden, start_of));
  for (std::int64_t begin = 0; begin < n && length > 1; begin += sequences_at_once) {
    const std::int64_t end = std::min(n, begin + sequences_at_once);
    std::vector<std::int64_t> heads;  // all but the last token of each sequence
    for (std::int64_t i = begin; i < end; ++i)
      heads.insert(heads.end(), tokens.begin() + i * length, tokens.begin() + (i + 1) * length - 1);
    const auto cache = prompt->cache->fork();
    cache->select(
        std::span(start_of).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)));
    out.slice(0, begin, end).slice(1, 1, length).copy_(problem.lm.forward(heads, *cache));
  }
  return out;
}

ForcedPass forced_pass(const Problem& problem, const Proposal& proposal, std::int64_t length,
                       std::span<const std::int64_t> tokens) {
  ForcedPass out{std::vector<double>(tokens.size()), std::vector<double>(tokens.size()),
                 std::vector<double>(tokens.size())};
  const at::Tensor hidden = hidden_states(problem, length, tokens);
  const at::Tensor rows = hidden.view({-1, hidden.size(2)});
  constexpr std::int64_t rows_at_once = 512;
  for (std::int64_t begin = 0; begin < rows.size(0); begin += rows_at_once) {
    const at::Tensor h = rows.slice(0, begin, std::min(rows.size(0), begin + rows_at_once));
    std::vector<std::int64_t> identity(static_cast<std::size_t>(h.size(0)));
    std::iota(identity.begin(), identity.end(), std::int64_t{0});
    const Draws scored = proposal.score_tokens(
        proposal.score(h), h, identity, tokens.subspan(static_cast<std::size_t>(begin), identity.size()));
    std::copy(scored.log_q.begin(), scored.log_q.end(), out.log_q.begin() + begin);
    std::copy(scored.log_p0.begin(), scored.log_p0.end(), out.log_p0.begin() + begin);
    std::copy(scored.log_psi.begin(), scored.log_psi.end(), out.log_psi.begin() + begin);
  }
  problem.lm.end_rule().carry(tokens, length, out.log_psi);
  return out;
}

}  // namespace twistor::smc
