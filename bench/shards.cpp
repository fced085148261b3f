// SPDX-License-Identifier: Apache-2.0
// What the same learned bits on any number of ranks cost: an update with the gradient in 8 fixed shards
// against one (G20).
//
// usage: bench_shards [MODEL BATCH T [UPDATES]]    default: models/tiny and then a random GPT-2 of 768 x 4
// layers
#include <fmt/core.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "bench_tools.hpp"
#include "twistor/comm/environment.hpp"
#include "twistor/learn/registry.hpp"
#include "twistor/learn/trainer.hpp"
#include "twistor/twist/head.hpp"

namespace {

using namespace twistor;

/// Two learners of one problem that differ in the number of shards alone.
struct Learner {
  Learner(const smc::Problem& problem, std::int64_t batch, const learn::TrainOptions& options,
          const comm::Communicator& world)
      : twist(bench::rough_twist(problem.lm, problem.prompt, device::Precision::float32, 0.1, "mlp")),
        trainer(problem, twist,
                learn::make_objective("ctl", {.batch = batch, .positives = learn::Positives::weighted}),
                options, exact, world) {}
  void update() {
    learn::UpdateReport report;
    total_s.push_back(seconds_of([&] { report = trainer.update(); }));
    sample_s.push_back(report.times.sample_s);
    gradient_s.push_back(report.times.gradient_s);
    reduce_s.push_back(report.times.reduce_s);
    step_s.push_back(report.times.step_s);
  }

  twistor::exact::Source exact;  // none: positives are the weighted samples
  twist::HeadTwist twist;
  learn::Trainer trainer;
  std::vector<double> total_s, sample_s, gradient_s, reduce_s, step_s;
};

void measure(const std::string& name, std::int64_t batch, std::int64_t T, std::int64_t updates,
             const comm::Communicator& world) {
  const auto lm = model::load_language_model(bench::model_path(name));
  const std::vector<std::int64_t> prompt = bench::some_tokens(8, lm->vocab_size());
  const bench::FlatPotential potential;
  const smc::Problem problem{*lm, prompt, potential};
  learn::TrainOptions options;
  options.length = T;
  options.n_shards = 8;
  Learner eight(problem, batch, options, world);
  options.n_shards = 1;
  Learner one(problem, batch, options, world);
  for (std::int64_t i = 0; i <= updates;
       ++i) {  // in turns and in both orders, so that both meet the same machine
    (i % 2 == 0 ? eight : one).update();
    (i % 2 == 0 ? one : eight).update();
    if (i > 0) continue;  // the first update makes moments and touches fresh memory
    for (Learner* learner : {&eight, &one})
      for (auto* times : {&learner->total_s, &learner->sample_s, &learner->gradient_s, &learner->reduce_s,
                          &learner->step_s})
        times->clear();
  }
  fmt::print("{}\nbatch {}, T = {}, MLP head, medians of {} updates, ms\n", lm->description(), batch, T,
             updates);
  fmt::print("{:>8}{:>10}{:>10}{:>10}{:>10}{:>10}\n", "shards", "update", "sampling", "gradient", "sum",
             "Adam");
  for (const Learner* learner : {&one, &eight})
    fmt::print("{:>8}{:>10.2f}{:>10.2f}{:>10.2f}{:>10.2f}{:>10.2f}\n", learner == &one ? 1 : 8,
               1e3 * bench::median(learner->total_s), 1e3 * bench::median(learner->sample_s),
               1e3 * bench::median(learner->gradient_s), 1e3 * bench::median(learner->reduce_s),
               1e3 * bench::median(learner->step_s));
  const auto shard_s = [](const Learner& l) {
    return bench::median(l.gradient_s) + bench::median(l.reduce_s);
  };
  const double cost = (shard_s(eight) - shard_s(one)) / bench::median(one.total_s);
  fmt::print(
      "cost of 8 shards, (gradient + sum) against one shard's, as a share of the update: {:+.3f}; whole "
      "updates: ratio "
      "{:.3f}   (G20: <= 0.05, {})\n\n",
      cost, bench::median(eight.total_s) / bench::median(one.total_s), bench::goal(cost <= 0.05));
}

void run(int argc, char** argv) {
  const comm::Environment environment(argc, argv);
  const comm::Communicator world = comm::Communicator::world();
  if (argc > 3) {
    measure(argv[1], std::stoll(argv[2]), std::stoll(argv[3]), argc > 4 ? std::stoll(argv[4]) : 9, world);
    return;
  }
  measure("tiny", 64, 4, 200, world);
  measure("random-768", 64, 10, 7, world);
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_main([&] { run(argc, argv); });
}
