// SPDX-License-Identifier: Apache-2.0
// Processor time of a sweep outside the model's engine, for each particle and step (U4), and of drawing many
// particles from few rows.
//
// usage: bench_host [MODEL [K [T [REPEATS]]]]    MODEL: path, "tiny", "default", ...; default: tiny 16384 16
// 5
//
// Run it with one thread (OMP_NUM_THREADS=1): what is counted is the processor time of the calling thread,
// which other work on the machine disturbs little.
#include <ATen/ops/empty.h>
#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "bench_tools.hpp"
#include "twistor/comm/environment.hpp"
#include "twistor/smc/sampler.hpp"

namespace {

using namespace twistor;

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

template <class F>
auto timed(double& seconds, F f) {
  struct Stop {
    double& seconds;
    double begin = cpu_seconds();
    ~Stop() { seconds += cpu_seconds() - begin; }
  } const stop{seconds};
  return f();
}

/// A model whose calls are timed.
class TimedModel final : public bench::ForwardingModel {
 public:
  using ForwardingModel::ForwardingModel;
  at::Tensor forward(std::span<const std::int64_t> tokens, model::Cache& cache) const override {
    return timed(forward_s, [&] { return ForwardingModel::forward(tokens, cache); });
  }
  void logits(const at::Tensor& hidden, std::int64_t begin, std::int64_t end,
              at::Tensor& out) const override {
    timed(logits_s, [&] { ForwardingModel::logits(hidden, begin, end, out); });
  }
  mutable double forward_s = 0, logits_s = 0;
};

class TimedTwist final : public twist::Twist {
 public:
  explicit TimedTwist(const twist::Twist& twist) : twist_(twist) {}
  std::int64_t vocab_size() const override { return twist_.vocab_size(); }
  at::Tensor features(const at::Tensor& hidden) const override {
    return timed(seconds, [&] { return twist_.features(hidden); });
  }
  void log_psi(const at::Tensor& features, std::int64_t begin, std::int64_t end,
               at::Tensor& out) const override {
    timed(seconds, [&] { twist_.log_psi(features, begin, end, out); });
  }
  std::string form() const override { return twist_.form(); }
  mutable double seconds = 0;

 private:
  const twist::Twist& twist_;
};

struct Times {
  double total = std::numeric_limits<double>::infinity(), forward = 0, heads = 0;
  std::int64_t rows = 0;
  [[nodiscard]] double host() const { return total - forward - heads; }
};

/// The sweep whose host took least.
Times best_sweep(const model::LanguageModel& lm, const twist::Twist& twist,
                 const std::vector<std::int64_t>& prompt, const smc::SweepOptions& options,
                 std::int64_t repeats) {
  const bench::FlatPotential potential;
  Times best;
  for (std::int64_t i = 0; i < repeats; ++i) {
    const TimedModel timed_lm(lm);
    const TimedTwist timed_twist(twist);
    const smc::Proposal proposal(timed_lm, timed_twist, smc::ProposalKind::twisted);
    Times next{0, 0, 0, 0};
    timed(next.total, [&] {
      const smc::Sweep sweep =
          smc::sweep({timed_lm, prompt, potential}, proposal, options, comm::Communicator::self());
      next.rows = sweep.counters.token_forwards;
    });
    next.forward = timed_lm.forward_s;
    next.heads = timed_lm.logits_s + timed_twist.seconds;
    if (next.host() < best.host()) best = next;
  }
  return best;
}

void measure_sweeps(const model::LanguageModel& lm, const twist::Twist& twist,
                    const std::vector<std::int64_t>& prompt, std::int64_t K, std::int64_t T,
                    std::int64_t repeats) {
  fmt::print(
      "Sweeps of K = {}, T = {}, twist-induced proposal, processor time in ns for a particle and step:\n", K,
      T);
  fmt::print("{:>12}{:>9}{:>10}{:>10}{:>10}{:>8}\n", "trigger", "rows", "forward", "products", "host", "U4");
  for (const smc::Trigger trigger : {smc::Trigger::every_step, smc::Trigger::ess, smc::Trigger::never}) {
    smc::SweepOptions options;
    options.particles = K;
    options.length = T;
    options.trigger = trigger;
    const Times t = best_sweep(lm, twist, prompt, options, repeats);
    const double ns = 1e9 / static_cast<double>(K * T);
    fmt::print("{:>12}{:>9}{:>10.1f}{:>10.1f}{:>10.1f}{:>8}\n", name_of(trigger), t.rows, ns * t.forward,
               ns * t.heads, ns * t.host(), bench::goal(ns * t.host() <= 60));
  }
}

/// K particles draw from 308 rows, in a random order.
void measure_draws(const model::LanguageModel& lm, const twist::Twist& twist, std::int64_t K,
                   std::int64_t repeats) {
  constexpr std::int64_t n_rows = 308;
  const auto cache = lm.make_cache(n_rows);
  const std::vector<std::int64_t> first = bench::some_tokens(2 * n_rows, lm.vocab_size());
  const at::Tensor hidden = lm.forward(first, *cache).select(1, 1).contiguous();
  const smc::Proposal proposal(lm, twist, smc::ProposalKind::twisted);
  const smc::RowScores rows = proposal.score(hidden);
  std::vector<std::int64_t> row_of;
  std::vector<double> u;
  Philox random(3, Stream::test, 0, 0);
  for (std::int64_t i = 0; i < K; ++i) {
    row_of.push_back(static_cast<std::int64_t>(random.below(n_rows)));
    u.push_back(random.uniform());
  }
  const std::vector<std::int64_t> forced(u.size(), -1);
  double best = std::numeric_limits<double>::infinity();
  for (std::int64_t i = 0; i < repeats; ++i) {
    double s = 0;
    timed(s, [&] { (void)proposal.draw(rows, hidden, row_of, u, forced); });
    best = std::min(best, s);
  }
  fmt::print("{} particles draw from {} rows: {:.1f} ns each\n", K, n_rows,
             1e9 * best / static_cast<double>(K));
}

void run(const std::vector<std::string>& arguments) {
  const auto number = [&](std::size_t i, std::int64_t otherwise) {
    return arguments.size() > i ? std::stoll(arguments[i]) : otherwise;
  };
  const auto lm = model::load_language_model(bench::model_path(arguments.empty() ? "tiny" : arguments[0]));
  const std::vector<std::int64_t> prompt = bench::some_tokens(8, lm->vocab_size());
  const twist::HeadTwist twist = bench::rough_twist(*lm, prompt, device::Precision::float32, 0.5);
  const std::int64_t K = number(1, 16384), T = number(2, 16), repeats = number(3, 5);
  fmt::print("{}\n", lm->description());
  measure_sweeps(*lm, twist, prompt, K, T, repeats);
  measure_draws(*lm, twist, 16 * K, repeats);
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_main([&] {
    const comm::Environment environment(argc, argv);
    run({argv + 1, argv + argc});
  });
}
