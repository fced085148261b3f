// SPDX-License-Identifier: Apache-2.0
// How often the 95 % intervals of probabilities hold the truth: experiments of R runs on models/tiny, whose
// event is enumerated, with twists from bad to good. Counts, not times: other work on the machine does not
// matter.
//
// usage: bench_coverage [EXPERIMENTS [RUNS [PARTICLES]]]    default: 1000 10 64
#include <fmt/core.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "bench_tools.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/comm/environment.hpp"
#include "twistor/estimate/certainty.hpp"
#include "twistor/estimate/exact_divergences.hpp"
#include "twistor/exact/enumeration.hpp"
#include "twistor/learn/registry.hpp"
#include "twistor/learn/trainer.hpp"
#include "twistor/potential/registry.hpp"
#include "twistor/text/tokenizer.hpp"
#include "twistor/twist/registry.hpp"

namespace {

using namespace twistor;

constexpr std::int64_t T = 4;

struct Experiments {
  std::int64_t n = 1000, runs = 10, particles = 64;
};

/// Shares of the experiments.
struct Coverage {
  double interval = 0, with_exact = 0, certified_low = 0, certified_high = 0, spread = 0;
};

Coverage measure(const smc::Problem& problem, const smc::Proposal& proposal,
                 const exact::Enumeration& enumeration, const Experiments& experiments) {
  const comm::Communicator self = comm::Communicator::self();
  const double log_z = enumeration.log_z(), share = 1.0 / static_cast<double>(experiments.n);
  smc::SweepOptions options{.particles = experiments.particles, .length = T};
  Coverage out;
  std::uint64_t run = 0;
  for (std::int64_t i = 0; i < experiments.n; ++i) {
    std::vector<double> lower, upper;
    for (std::int64_t r = 0; r < experiments.runs; ++r, ++run) {
      options.seed = derive_seed(1, Stream::repeat, 2 * run);
      lower.push_back(smc::sweep(problem, proposal, options, self).log_z);
      options.seed = derive_seed(1, Stream::repeat, 2 * run + 1);
      const auto path = enumeration.draw(2, static_cast<std::int64_t>(run));
      upper.push_back(smc::sweep(problem, proposal, options, self, path).log_z);
    }
    const estimate::Interval range = estimate::mean_z_interval(lower).range;
    const estimate::Interval certified = estimate::certified_log_z(lower, upper, 0);
    const estimate::Interval both = estimate::mean_z_interval(lower, upper).range;
    out.with_exact += both.low <= std::exp(log_z) && std::exp(log_z) <= both.high ? share : 0;
    out.interval += range.low <= std::exp(log_z) && std::exp(log_z) <= range.high ? share : 0;
    out.certified_low += certified.low <= log_z ? share : 0;
    out.certified_high += log_z <= certified.high ? share : 0;
    const estimate::Estimate mean = estimate::log_mean_exp_estimate(lower);
    if (!std::isnan(mean.se)) out.spread += share * mean.se * std::sqrt(static_cast<double>(mean.n));
  }
  return out;
}

void run(int argc, char** argv) {
  const comm::Environment environment(argc, argv);
  const comm::Communicator self = comm::Communicator::self();
  Experiments experiments;
  const std::array<std::int64_t*, 3> places{&experiments.n, &experiments.runs, &experiments.particles};
  for (std::size_t i = 0; i < places.size() && static_cast<int>(i) + 1 < argc; ++i)
    *places[i] = std::stoll(argv[i + 1]);
  const std::filesystem::path folder = bench::model_path("tiny");
  const auto lm = model::load_language_model(folder);
  const auto tokenizer = text::load_tokenizer(folder);
  const auto prompt =
      tokenizer->encode("once upon a time there was a kind fox . one day the fox met a hen .");
  potential::PotentialOptions options;
  options.potential = "contains";
  options.words = "ate";
  potential::TargetContext context;
  context.lm = lm.get();
  context.tokenizer = tokenizer.get();
  const auto potential = potential::make_potential(options, context);
  const smc::Problem problem = smc::Problem{*lm, prompt, *potential}.with_start();
  const exact::Enumeration enumeration = exact::enumerate(*lm, *potential, prompt, T);
  const exact::Source source{4000, [&](std::int64_t i) { return enumeration.draw(1, i); }};
  fmt::print("P(event) = {:.6g}; {} experiments of {} runs of {} particles\n", std::exp(enumeration.log_z()),
             experiments.n, experiments.runs, experiments.particles);
  fmt::print("{:>8}{:>15}{:>18}{:>16}{:>22}{:>15}{:>16}\n", "updates", "KL(sigma||q)", "sd of Z_hat / Z",
             "95 % interval", "with exact samples", "certified low", "certified high");
  const auto twist = twist::make_twist("mlp", {.width = lm->feature_size(),
                                               .vocab_size = lm->vocab_size(),
                                               .precision = device::Precision::float32,
                                               .init_scale = 0,
                                               .seed = 1,
                                               .output_matrix = lm->output_matrix()});
  learn::Trainer trainer(problem, *twist,
                         learn::make_objective("ctl", {.positives = learn::Positives::exact}),
                         {.length = T, .n_shards = 1, .adam = {.learning_rate = 1e-3}}, source, self);
  for (const std::int64_t updates : {15, 40, 500}) {
    while (trainer.n_updates() < updates) (void)trainer.update();
    const smc::Proposal proposal(*lm, *twist, smc::ProposalKind::twisted);
    const auto sums = estimate::enumerate_divergences(problem, proposal, T, enumeration.log_z(), self);
    const Coverage c = measure(problem, proposal, enumeration, experiments);
    fmt::print("{:>8}{:>15.4f}{:>18.3f}{:>15.1f}%{:>21.1f}%{:>14.1f}%{:>15.1f}%\n", updates,
               sums->g_q - enumeration.log_z(), c.spread, 100 * c.interval, 100 * c.with_exact,
               100 * c.certified_low, 100 * c.certified_high);
  }
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_main([&] { run(argc, argv); });
}
