// SPDX-License-Identifier: Apache-2.0
// What resampling costs: nanoseconds per particle (G1), copies against the minimum (G2), moves against sorted
// storage.
#include <fmt/core.h>
#include <malloc.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <ctime>
#include <limits>
#include <vector>

#include "twistor/base/philox.hpp"
#include "twistor/base/reproducible_sum.hpp"
#include "twistor/smc/census.hpp"
#include "twistor/smc/genealogy.hpp"
#include "twistor/smc/placement.hpp"
#include "twistor/smc/scheme.hpp"

namespace {

using namespace twistor;

constexpr std::array kinds{smc::SchemeKind::multinomial, smc::SchemeKind::stratified,
                           smc::SchemeKind::systematic, smc::SchemeKind::residual};
constexpr int n_ranks = 8;

// Normal log weights whose ESS is about K / 2: for them ESS / K = exp(-variance).
std::vector<double> half_ess_weights(std::int64_t K, std::uint64_t seed) {
  std::vector<double> log_w(static_cast<std::size_t>(K));
  for (std::size_t i = 0; i < log_w.size(); ++i)
    log_w[i] = std::sqrt(std::log(2.0)) * Philox(seed, Stream::test, 0, i).normal();
  return log_w;
}

// Processor time of this thread: what other processes take does not count.
double thread_ns() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return 1e9 * static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec);
}

// The shortest of several repeats of f, in nanoseconds per particle.
template <class F>
double ns_per_particle(std::int64_t K, F f) {
  double best = std::numeric_limits<double>::infinity();
  for (int repeat = 0; repeat < 25; ++repeat) {
    const double start = thread_ns();
    f(static_cast<std::uint32_t>(repeat));
    best = std::min(best, thread_ns() - start);
  }
  return best / static_cast<double>(K);
}

void print_time(std::int64_t K) {
  const std::vector<double> log_w = half_ess_weights(K, 1);
  const smc::Layout layout = smc::Layout::blocks(K, n_ranks);
  double checksum = 0;  // keeps the work from being removed
  const double lse = ns_per_particle(K, [&](std::uint32_t) {
    WeightSums sums;
    for (const double x : log_w) sums.add(x);
    checksum += sums.log_sum() + sums.ess();
  });
  for (const auto kind : kinds) {
    const smc::Resampled fixed = smc::resample(kind, log_w, 1, 0);
    const double offspring = ns_per_particle(K, [&](std::uint32_t step) {
      checksum += static_cast<double>(smc::resample(kind, log_w, 1, step).ancestor_of_id.back());
    });
    const double placed = ns_per_particle(K, [&](std::uint32_t) {
      checksum += static_cast<double>(smc::plan(fixed.ancestor_of_id, layout).n_moved);
    });
    const double total = lse + offspring + placed;
    fmt::print("  {:<12}{:>8}{:>10.1f}{:>12.1f}{:>8.1f}{:>8.1f}  {}\n", name_of(kind), K, lse, offspring,
               placed, total, total <= 40 ? "met" : "missed");
  }
  if (std::isnan(checksum)) fmt::print("  the sums are NaN\n");
}

// Twenty resamplings in a row at ESS = K / 2.
void print_moves(smc::SchemeKind kind, std::int64_t K) {
  smc::Layout layout = smc::Layout::blocks(K, n_ranks);
  const smc::Layout sorted = layout;
  std::int64_t moved = 0, minimum = 0, messages = 0, sorted_moves = 0;
  const int n_events = 20;
  for (std::uint32_t step = 0; step < n_events; ++step) {
    const std::vector<double> log_w = half_ess_weights(K, 100 + step);
    std::vector<std::int64_t> ancestors = smc::ancestors(kind, log_w, 1, step);
    const smc::Resampled next = smc::relabel(ancestors);
    const smc::Placement p = smc::plan(next.ancestor_of_id, layout);
    std::vector<std::int64_t> offspring(n_ranks, 0);
    for (const std::int64_t a : ancestors) ++offspring[static_cast<std::size_t>(layout.rank_of(a))];
    for (int r = 0; r < n_ranks; ++r)
      minimum += std::max<std::int64_t>(0, offspring[static_cast<std::size_t>(r)] - layout.size_of(r));
    moved += p.n_moved;
    messages += static_cast<std::int64_t>(p.copies.size());
    std::ranges::sort(ancestors);  // the alternative: offspring stay in the order of their ancestors
    for (std::int64_t m = 0; m < K; ++m)
      sorted_moves += sorted.rank_of(m) != sorted.rank_of(ancestors[static_cast<std::size_t>(m)]);
    layout = p.after;
  }
  const double all = static_cast<double>(K) * n_events;
  fmt::print("  {:<12}{:>8}{:>10}{:>10}{:>10}{:>10.2f}%{:>12.2f}%  {}\n", name_of(kind), K, moved, minimum,
             messages, 100 * static_cast<double>(moved) / all, 100 * static_cast<double>(sorted_moves) / all,
             moved == minimum ? "met" : "missed");
}

// What the first rank does on the whole population while the others wait, from the weights as they are
// gathered to the messages.
void print_first_rank() {
  constexpr std::int64_t K = 1'000'000;
  const std::vector<double> log_w = half_ess_weights(K, 1);
  for (const int P : {1, 4, 64, 1024}) {
    smc::Census census(smc::Layout::blocks(K, P), 8);
    smc::Genealogy genealogy(K);
    std::array<double, 5> best;
    best.fill(std::numeric_limits<double>::infinity());
    std::size_t n_bytes = 0;
    for (std::uint32_t step = 0; step < 8; ++step) {
      std::array<double, 6> at{};
      std::size_t next_time = 0;
      const auto tick = [&] { at.at(next_time++) = thread_ns(); };
      tick();
      const std::vector<double> by_id = census.by_id(log_w);
      tick();
      const smc::Resampled next = smc::resample(smc::SchemeKind::stratified, by_id, 1, step);
      tick();
      genealogy.resampled(smc::SchemeKind::stratified, next.ancestor_of_id, 0.5 * K);
      tick();
      const std::vector<smc::Assignment> told = census.resampled(next);
      tick();
      n_bytes = 0;
      for (std::size_t r = 1; r < told.size(); ++r) n_bytes += smc::to_bytes(told[r]).size();
      tick();
      for (std::size_t i = 0; i < best.size(); ++i) best[i] = std::min(best[i], 1e-6 * (at[i + 1] - at[i]));
    }
    fmt::print("  {:>6}{:>8.1f}{:>8.1f}{:>11.1f}{:>8.1f}{:>10.1f}{:>8.1f}{:>8.1f}\n", P, best[0], best[1],
               best[2], best[3], best[4], best[0] + best[1] + best[2] + best[3] + best[4],
               1e-6 * static_cast<double>(n_bytes));
  }
}

}  // namespace

int main() {
  // Freed memory stays with the process, as it does in a sweep, whose heap does not shrink at every step.
  mallopt(M_TRIM_THRESHOLD, 1 << 28);
  mallopt(M_MMAP_THRESHOLD, 1 << 28);
  fmt::print(
      "Nanoseconds per particle on one core, the whole population, plan for {} ranks (G1: total <= 40)\n",
      n_ranks);
  fmt::print("  {:<12}{:>8}{:>10}{:>12}{:>8}{:>8}  G1\n", "scheme", "K", "lse, ess", "offspring", "plan",
             "total");
  for (const std::int64_t K : {4096, 65536}) print_time(K);
  fmt::print(
      "\nChildren that change rank in 20 resamplings at ESS = K / 2 on {} ranks (G2: moved = minimum)\n",
      n_ranks);
  fmt::print("  {:<12}{:>8}{:>10}{:>10}{:>10}{:>11}{:>13}  G2\n", "scheme", "K", "moved", "minimum", "copies",
             "share", "if sorted");
  for (const auto kind : kinds)
    for (const std::int64_t K : {1024, 4096, 65536}) print_moves(kind, K);
  fmt::print(
      "\nMilliseconds of the first rank for all, K = 1e6 on P ranks, stratified, and MB that it tells\n");
  fmt::print("  {:>6}{:>8}{:>8}{:>11}{:>8}{:>10}{:>8}{:>8}\n", "ranks", "by id", "draw", "genealogy",
             "census", "messages", "total", "MB");
  print_first_rank();
}
