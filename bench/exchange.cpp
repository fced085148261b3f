// SPDX-License-Identifier: Apache-2.0
// What resampling moves between ranks: copies against the minimum (G2), bytes against dense contiguous
// storage (G3), and MPI calls a step (G4).
//
// usage: mpirun -n P bench_exchange [PARTICLES_PER_RANK [T]]    default: 128 128
#include <ATen/ops/from_blob.h>
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "bench_tools.hpp"
#include "support/pmpi_count.hpp"
#include "twistor/base/reproducible_sum.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/comm/environment.hpp"
#include "twistor/smc/sampler.hpp"

namespace {

using namespace twistor;

constexpr std::int64_t prompt_tokens = 16;

/// Particles as they would lie if offspring were stored in the order of their ancestors.
class ContiguousOrder {
 public:
  ContiguousOrder(std::int64_t K, int n_ranks)
      : slots_(smc::Layout::blocks(K, n_ranks)), id_at_(static_cast<std::size_t>(K)) {
    std::iota(id_at_.begin(), id_at_.end(), std::int64_t{0});
  }
  /// Children that change rank.
  std::int64_t resampled(std::span<const std::int64_t> ancestor_of_id) {
    std::vector<std::vector<std::int64_t>> children(ancestor_of_id.size());
    for (std::size_t i = 0; i < ancestor_of_id.size(); ++i)
      children[static_cast<std::size_t>(ancestor_of_id[i])].push_back(static_cast<std::int64_t>(i));
    std::vector<std::int64_t> next;
    std::int64_t moved = 0;
    for (std::size_t slot = 0; slot < id_at_.size(); ++slot) {
      for (const std::int64_t child : children[static_cast<std::size_t>(id_at_[slot])]) {
        moved += slots_.rank_of(static_cast<std::int64_t>(next.size())) !=
                 slots_.rank_of(static_cast<std::int64_t>(slot));
        next.push_back(child);
      }
    }
    id_at_ = std::move(next);
    return moved;
  }

 private:
  smc::Layout slots_;
  std::vector<std::int64_t> id_at_;
};

/// Totals over one sweep; bytes and messages are this rank's until summed.
struct Totals {
  std::int64_t events = 0, moved = 0, minimum = 0, events_off_minimum = 0, pairs = 0, repeated_pairs = 0;
  std::int64_t contiguous_moved = 0, contiguous_bytes = 0, sent_messages = 0, sent_bytes = 0, cache_bytes = 0,
               peak_pairs_of_ranks = 0;
};

/// The sweep in slow motion: the library's own pieces in the library's order, with every event looked at. Its
/// totals are checked against smc::sweep's.
class SlowSweep {
 public:
  SlowSweep(const smc::Problem& problem, const smc::Proposal& proposal, const smc::SweepOptions& options,
            const comm::Communicator& comm)
      : problem_(problem),
        proposal_(proposal),
        options_(options),
        comm_(comm),
        census_(smc::Layout::blocks(options.particles, comm.size()), prompt_tokens),
        contiguous_(options.particles, comm.size()),
        p_(options.length, census_.layout().ids_of(comm.rank())) {}

  Totals run() {
    p_.cache = problem_.lm.make_cache(1);
    p_.hidden = problem_.lm.forward(problem_.prompt, *p_.cache).select(1, prompt_tokens - 1).contiguous();
    p_.leaf = {-1};
    const model::CacheUse use = p_.cache->use();
    block_bytes_ = use.live_bytes / use.live_blocks;
    for (std::int64_t t = 0; t < options_.length; ++t) {
      p_.scores = proposal_.score(p_.hidden);
      p_.has_scores = true;
      weigh();
      if (resamples() && t > 0) resample(t);
      draw(t);
      if (t + 1 < options_.length) forward(t);
    }
    comm::all_reduce_sum(std::span<std::int64_t>(&totals_.sent_messages, 1), comm_);
    comm::all_reduce_sum(std::span<std::int64_t>(&totals_.sent_bytes, 1), comm_);
    comm::all_reduce_sum(std::span<std::int64_t>(&totals_.cache_bytes, 1), comm_);
    return totals_;
  }
  [[nodiscard]] std::int64_t block_bytes() const { return block_bytes_; }

 private:
  void weigh() {
    for (std::size_t i = 0; i < p_.log_w.size(); ++i) {
      const auto row = static_cast<std::size_t>(p_.node[i]);
      p_.log_w[i] += p_.scores.log_sum_q[row] - p_.scores.log_sum_p0[row] - p_.log_psi_of(p_.node[i]);
    }
  }

  bool resamples() {
    WeightSums local;
    for (const double w : p_.log_w) local.add(w);
    const WeightSums all = comm::all_reduce(local, comm_);
    log_sum_ = all.log_sum();
    return all.ess() < options_.ess_threshold * static_cast<double>(options_.particles);
  }

  void resample(std::int64_t t) {
    const auto ids = comm::all_gather(std::span<const std::int64_t>(p_.ids), comm_);
    const auto weights = comm::all_gather(std::span<const double>(p_.log_w), comm_);
    std::vector<double> log_w(weights.size());
    for (std::size_t i = 0; i < ids.size(); ++i) log_w[static_cast<std::size_t>(ids[i])] = weights[i];
    const smc::Resampled next =
        smc::resample(options_.scheme, log_w, options_.seed, static_cast<std::uint32_t>(t));
    count(next.ancestor_of_id, smc::plan(next.ancestor_of_id, census_.layout()));
    const std::vector<smc::Assignment> told = census_.resampled(next);
    const smc::ExchangeCount sent = smc::exchange(p_, told[static_cast<std::size_t>(comm_.rank())], comm_);
    for (std::size_t i = 0; i < p_.ids.size(); ++i) {
      const auto parent = next.ancestor_of_id[static_cast<std::size_t>(p_.ids[i])];
      p_.log_w[i] = next.log_correction(parent, log_w[static_cast<std::size_t>(parent)], log_sum_);
    }
    log_sum_ = std::log(static_cast<double>(options_.particles));
    totals_.sent_messages += sent.sent_messages;
    totals_.sent_bytes += sent.sent_bytes;
    totals_.cache_bytes += sent.cache_bytes;
  }

  /// G2, from the ancestors and the plan alone.
  void count(std::span<const std::int64_t> ancestor_of_id, const smc::Placement& placement) {
    std::vector<std::int64_t> offspring(static_cast<std::size_t>(comm_.size()), 0);
    std::int64_t moved = 0, minimum = 0;
    for (std::size_t i = 0; i < ancestor_of_id.size(); ++i) {
      const int home = census_.layout().rank_of(ancestor_of_id[i]);
      ++offspring[static_cast<std::size_t>(home)];
      moved += home != placement.after.rank_of(static_cast<std::int64_t>(i));
    }
    for (int r = 0; r < comm_.size(); ++r)
      minimum +=
          std::max<std::int64_t>(0, offspring[static_cast<std::size_t>(r)] - census_.layout().size_of(r));
    std::set<std::pair<std::int64_t, std::int32_t>> pairs;
    std::set<std::pair<std::int32_t, std::int32_t>> ranks;
    for (const smc::Copy& copy : placement.copies) {
      totals_.repeated_pairs += !pairs.emplace(copy.ancestor, copy.to).second;
      ranks.emplace(copy.from, copy.to);
    }
    ++totals_.events;
    totals_.moved += moved;
    totals_.minimum += minimum;
    totals_.events_off_minimum += moved != minimum;
    totals_.pairs += static_cast<std::int64_t>(placement.copies.size());
    totals_.peak_pairs_of_ranks =
        std::max(totals_.peak_pairs_of_ranks, static_cast<std::int64_t>(ranks.size()));
    const std::int64_t blocks = (p_.cache->length() + model::block_tokens - 1) / model::block_tokens;
    const std::int64_t contiguous = contiguous_.resampled(ancestor_of_id);
    totals_.contiguous_moved += contiguous;
    totals_.contiguous_bytes += contiguous * blocks * block_bytes_;
  }

  void draw(std::int64_t t) {
    std::vector<double> u(p_.ids.size());
    philox_uniforms(options_.seed, Stream::tokens, static_cast<std::uint32_t>(t), p_.ids, u);
    const smc::Branches drawn = proposal_.branch(p_.scores, p_.hidden, p_.node, u);
    p_.grow(drawn);
    p_.follow(drawn);
  }

  void forward(std::int64_t t) {
    std::vector<std::int64_t> tokens;
    for (const std::int64_t leaf : p_.leaf) tokens.push_back(p_.history.leaf(leaf).token);
    p_.hidden = problem_.lm.forward(tokens, *p_.cache).select(1, 0).contiguous();
    census_.grown_to(prompt_tokens + t + 1);
  }

  const smc::Problem& problem_;
  const smc::Proposal& proposal_;
  const smc::SweepOptions& options_;
  const comm::Communicator& comm_;
  smc::Census census_;  // on every rank here, so that each can count
  ContiguousOrder contiguous_;
  smc::Population p_;
  Totals totals_;
  std::int64_t block_bytes_ = 0;
  double log_sum_ = 0;
};

void print_moves(const smc::Problem& problem, const smc::Proposal& proposal, const smc::SweepOptions& options,
                 const comm::Communicator& world) {
  SlowSweep slow(problem, proposal, options, world);
  const Totals sum = slow.run();
  smc::Sweep sweep = smc::sweep(problem, proposal, options, world);
  std::int64_t& bytes = sweep.counters.sent_bytes;
  comm::all_reduce_sum(std::span<std::int64_t>(&bytes, 1), world);
  comm::all_reduce_sum(std::span<std::int64_t>(&sweep.counters.moved_copies, 1),
                       world);  // counted on one rank
  TWISTOR_CHECK(bytes == sum.sent_bytes && sweep.counters.moved_copies == sum.moved, ErrorKind::internal,
                "counting what a sweep moves",
                fmt::format("the sweep moved {} copies and {} bytes, its repetition here {} and {}",
                            sweep.counters.moved_copies, bytes, sum.moved, sum.sent_bytes));
  const auto mb = [](std::int64_t n) { return static_cast<double>(n) * 1e-6; };
  const double ratio = static_cast<double>(sum.sent_bytes) / static_cast<double>(sum.contiguous_bytes);
  const bool is_minimal =
      sum.events_off_minimum == 0 && sum.repeated_pairs == 0 && sum.sent_messages == sum.pairs;
  if (world.rank() != 0) return;
  fmt::print("{:<12}{:>7}{:>8}{:>9}{:>8}{:>8}{:>10}{:>10.2f}{:>9.2f}{:>12.2f}{:>8.3f}  {:<8}{}\n",
             name_of(options.scheme), sum.events, sum.moved, sum.minimum, sum.sent_messages,
             sum.peak_pairs_of_ranks, sum.contiguous_moved, mb(sum.sent_bytes), mb(sum.cache_bytes),
             mb(sum.contiguous_bytes), ratio, bench::goal(is_minimal), bench::goal(ratio <= 0.05));
}

/// This rank's MPI calls in one sweep of T steps.
pmpi::Counts calls(const smc::Problem& problem, const smc::Proposal& proposal, smc::SweepOptions options,
                   std::int64_t T, smc::Trigger trigger, const comm::Communicator& world) {
  options.length = T;
  options.trigger = trigger;
  pmpi::reset();
  (void)smc::sweep(problem, proposal, options, world);
  return pmpi::read();
}

/// Calls a step: the difference of a long and a short sweep, so that start and end do not count.
void print_calls(const smc::Problem& problem, const smc::Proposal& proposal, const smc::SweepOptions& options,
                 const comm::Communicator& world) {
  const std::int64_t short_T = 4, long_T = 20, steps = long_T - short_T;
  for (const auto trigger : {smc::Trigger::never, smc::Trigger::every_step}) {
    const bool is_never = trigger == smc::Trigger::never;
    const pmpi::Counts few = calls(problem, proposal, options, short_T, trigger, world);
    const pmpi::Counts many = calls(problem, proposal, options, long_T, trigger, world);
    std::int64_t messages = many.messages() - few.messages();
    messages = comm::all_reduce_sum(messages, world);
    const double collectives =
        static_cast<double>(many.collectives() - few.collectives()) / static_cast<double>(steps);
    const std::int64_t reduced = many.of("MPI_Allreduce").max_bytes,
                       gathered = many.of("MPI_Gatherv").max_bytes;
    if (world.rank() != 0) continue;
    const bool is_met = is_never ? collectives <= 1 && reduced <= 64 && messages == 0 : collectives <= 3;
    fmt::print("{:<24}{:>13.2f}{:>17}{:>18}{:>20.2f}  {}\n",
               is_never ? "without resampling" : "with resampling", collectives, reduced,
               is_never ? 0 : gathered, static_cast<double>(messages) / static_cast<double>(steps),
               bench::goal(is_met));
  }
}

void run(int argc, char** argv) {
  const comm::Environment environment(argc, argv);
  const comm::Communicator world = comm::Communicator::world();
  const std::int64_t per_rank = argc > 1 ? std::stoll(argv[1]) : 128,
                     T = argc > 2 ? std::stoll(argv[2]) : 128;
  const auto shared = bench::load_shared("random-tiny", device::Precision::float32, world);
  const model::LanguageModel& lm = *shared->lm;
  const std::vector<std::int64_t> prompt = bench::some_tokens(prompt_tokens, lm.vocab_size());
  const twist::HeadTwist twist = bench::rough_twist(lm, prompt, device::Precision::float32, 0.5);
  const bench::FlatPotential potential;
  const smc::Problem problem{lm, prompt, potential};
  const smc::Proposal proposal(lm, twist, smc::ProposalKind::twisted);
  smc::SweepOptions options;
  options.particles = per_rank * world.size();
  options.length = T;
  options.trigger = smc::Trigger::ess;
  if (world.rank() == 0) {
    fmt::print(
        "{} ranks, K = {}, T = {}, resampling where ESS < K / 2 (G2: moved = minimum at every event, one "
        "send for each\n"
        "ancestor and destination; G3: sent bytes <= 0.05 of dense prefixes kept contiguous)\n",
        world.size(), options.particles, T);
    fmt::print("{:<12}{:>7}{:>8}{:>9}{:>8}{:>8}{:>10}{:>10}{:>9}{:>12}{:>8}  {:<8}G3\n", "scheme", "events",
               "moved", "minimum", "sends", "pairs", "if sorted", "sent MB", "KV MB", "dense MB", "ratio",
               "G2");
  }
  for (const auto scheme :
       {smc::SchemeKind::stratified, smc::SchemeKind::systematic, smc::SchemeKind::multinomial}) {
    options.scheme = scheme;
    print_moves(problem, proposal, options, world);
  }
  if (world.rank() == 0) {
    fmt::print(
        "\nMPI calls of a step (G4: one reduction of <= 64 bytes without resampling, at most three "
        "collectives with)\n");
    fmt::print("{:<24}{:>13}{:>17}{:>18}{:>20}  G4\n", "step", "collectives", "reduced bytes",
               "gathered bytes", "messages, all ranks");
  }
  options.scheme = smc::SchemeKind::stratified;
  print_calls(problem, proposal, options, world);
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_main([&] { run(argc, argv); });
}
