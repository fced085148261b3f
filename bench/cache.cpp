// SPDX-License-Identifier: Apache-2.0
// What forking saves: live KV blocks against dense ones along a sweep (G5), and a resampling of the cache
// against copying whole prefixes (G6).
//
// usage: bench_cache [K [T]]    default: 1024 128
#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "bench_tools.hpp"
#include "twistor/comm/environment.hpp"
#include "twistor/model/kv_cache.hpp"
#include "twistor/smc/sampler.hpp"

namespace {

using namespace twistor;

constexpr std::int64_t prompt_tokens = 16;

std::int64_t n_blocks(std::int64_t length) {
  return (length + model::block_tokens - 1) / model::block_tokens;
}

/// Writes down the cache's use after each forward pass of the model that it stands for.
class WatchedModel final : public bench::ForwardingModel {
 public:
  using ForwardingModel::ForwardingModel;
  at::Tensor forward(std::span<const std::int64_t> tokens, model::Cache& cache) const override {
    at::Tensor hidden = ForwardingModel::forward(tokens, cache);
    seen.push_back({cache.length(), cache.use()});
    return hidden;
  }

  struct Seen {
    std::int64_t length;
    model::CacheUse use;
  };
  mutable std::vector<Seen> seen;
};

/// One sweep with resampling where ESS < threshold * K.
void print_use(const model::LanguageModel& lm, smc::SchemeKind scheme, double threshold, std::int64_t K,
               std::int64_t T) {
  const std::vector<std::int64_t> prompt = bench::some_tokens(prompt_tokens, lm.vocab_size());
  const twist::HeadTwist twist = bench::rough_twist(lm, prompt, device::Precision::float32, 0.5);
  const WatchedModel watched(lm);
  const bench::FlatPotential potential;
  const smc::Proposal proposal(watched, twist, smc::ProposalKind::twisted);
  smc::SweepOptions options;
  options.particles = K;
  options.length = T;
  options.scheme = scheme;
  options.trigger = threshold >= 1 ? smc::Trigger::every_step : smc::Trigger::ess;
  options.ess_threshold = threshold;
  const smc::Sweep sweep =
      smc::sweep({watched, prompt, potential}, proposal, options, comm::Communicator::self());
  double sum = 0, sum_own = 0, ess = 0;
  for (const auto& seen : watched.seen) {
    if (seen.length == prompt_tokens) continue;
    const auto live = static_cast<double>(seen.use.live_blocks),
               dense = static_cast<double>(K * n_blocks(seen.length));
    const std::int64_t prompt_blocks = prompt_tokens / model::block_tokens;
    sum += live / dense;
    sum_own += (live - static_cast<double>(prompt_blocks)) / (dense - static_cast<double>(K * prompt_blocks));
  }
  for (const double x : sweep.ess) ess += x / static_cast<double>(K * T);
  const auto steps = static_cast<double>(watched.seen.size() - 1);
  const auto& last = watched.seen.back();
  const double mean = sum / steps, final_share = static_cast<double>(last.use.live_blocks) /
                                                 static_cast<double>(K * n_blocks(last.length));
  fmt::print("{:<12}{:>9.2f}{:>8}{:>10.2f}{:>8.3f}{:>8.3f}{:>12.3f}{:>12.1f}{:>14}  {}\n", name_of(scheme),
             threshold, sweep.counters.resamplings, ess, mean, final_share, sum_own / steps,
             static_cast<double>(last.use.live_bytes) * 1e-6, last.use.copied_blocks,
             threshold >= 1 ? "" : bench::goal(mean <= 0.45 && final_share <= 0.30));
}

/// Offspring of weights with ESS = K / 2.
std::vector<std::int64_t> half_ess_ancestors(std::int64_t K, std::uint32_t step) {
  std::vector<double> log_w;
  for (std::int64_t i = 0; i < K; ++i)
    log_w.push_back(std::sqrt(std::log(2.0)) *
                    Philox(1, Stream::test, step, static_cast<std::uint64_t>(i)).normal());
  return smc::resample(smc::SchemeKind::stratified, log_w, 1, step).ancestor_of_id;
}

/// What a cache without block tables does: every child gets a copy of its parent's whole prefix, by way of a
/// message.
void copy_by_message(const model::Cache& cache, std::span<const std::int64_t> parents) {
  const auto next = cache.fork();
  next->select({});
  for (const std::int64_t parent : parents)
    (void)next->import_sequence({}, 0, cache.export_sequence(parent, 0));
}

/// The cheapest form of the same: dense prefixes, one memcpy each, into memory that is there already.
class DenseCopies {
 public:
  DenseCopies(std::int64_t K, std::size_t prefix_bytes)
      : prefix_bytes_(prefix_bytes),
        from_(static_cast<std::size_t>(K) * prefix_bytes, std::byte{1}),
        to_(from_) {}
  void copy(std::span<const std::int64_t> parents) {
    const auto n = static_cast<std::int64_t>(parents.size());
#pragma omp parallel for schedule(static)
    for (std::int64_t i = 0; i < n; ++i)
      std::memcpy(
          to_.data() + static_cast<std::size_t>(i) * prefix_bytes_,
          from_.data() + static_cast<std::size_t>(parents[static_cast<std::size_t>(i)]) * prefix_bytes_,
          prefix_bytes_);
  }

 private:
  std::size_t prefix_bytes_;
  std::vector<std::byte> from_, to_;
};

/// A resampling of K sequences of `length` tokens, all different.
void print_select(const model::LanguageModel& lm, std::int64_t K, std::int64_t length) {
  const auto cache = lm.make_cache(K);
  (void)lm.forward(bench::some_tokens(K * length, lm.vocab_size(), 1), *cache);
  const model::CacheUse use = cache->use();
  const std::int64_t block_bytes = use.live_bytes / use.live_blocks;
  const auto prefix_bytes = static_cast<std::size_t>(n_blocks(length) * block_bytes);
  DenseCopies dense(K, prefix_bytes);
  std::vector<double> select, write, message, bare;
  std::int64_t copied = 0;
  for (std::uint32_t repeat = 0; repeat < 9; ++repeat) {
    const std::vector<std::int64_t> parents = half_ess_ancestors(K, repeat);
    // In place, as the sweep does it: a parent's last child writes into the parent's own block.
    const std::int64_t before = cache->use().copied_blocks;
    select.push_back(seconds_of([&] { cache->select(parents); }));
    write.push_back(seconds_of([&] { dynamic_cast<model::KvCache&>(*cache).reserve(1); }));
    copied = cache->use().copied_blocks - before;
    if (repeat < 3) message.push_back(seconds_of([&] { copy_by_message(*cache, parents); }));
    bare.push_back(seconds_of([&] { dense.copy(parents); }));
  }
  const double ours = bench::median(select) + bench::median(write);
  fmt::print("{:>8}{:>11.1f}{:>11.2f}{:>11.2f}{:>9}{:>15.2f}{:>10.2f}{:>10.1f}{:>8.1f}\n", length,
             static_cast<double>(prefix_bytes) * 1e-3, 1e3 * bench::median(select),
             1e3 * bench::median(write), copied, 1e3 * bench::median(message), 1e3 * bench::median(bare),
             bench::median(message) / ours, bench::median(bare) / ours);
}

void run(int argc, char** argv) {
  const comm::Environment environment(argc, argv);
  const std::int64_t K = argc > 1 ? std::stoll(argv[1]) : 1024, T = argc > 2 ? std::stoll(argv[2]) : 128;
  const auto lm = model::load_language_model(bench::random_tiny());
  fmt::print(
      "KV blocks live / dense, K = {}, T = {}, {} (G5: mean <= 0.45, final <= 0.30 with the trigger at "
      "0.5)\n",
      K, T, lm->description());
  fmt::print("{:<12}{:>9}{:>8}{:>10}{:>8}{:>8}{:>12}{:>12}{:>14}  G5\n", "scheme", "trigger", "events",
             "ESS / K", "mean", "final", "no prompt", "MB at end", "copied blocks");
  for (const auto scheme : {smc::SchemeKind::stratified, smc::SchemeKind::systematic}) {
    print_use(*lm, scheme, 0.5, K, T);
    print_use(*lm, scheme, 1.0, K, T);
  }
  fmt::print("\nOne resampling of a cache of {} sequences at ESS = K / 2, ms (G6: no whole-prefix copies)\n",
             K);
  fmt::print("{:>8}{:>11}{:>11}{:>11}{:>9}{:>15}{:>10}{:>18}\n", "length", "kB each", "select", "reserve",
             "copied", "export+import", "memcpy", "ratios to ours");
  for (const std::int64_t length : {24, 72, 136, 248}) print_select(*lm, K, length);
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_main([&] { run(argc, argv); });
}
