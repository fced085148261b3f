// SPDX-License-Identifier: Apache-2.0
// One CTL update at the size of the published experiments: K = 100, T = 20, prompt 8, MLP head, on a
// GPT-2-family model of TinyStories-33M's shape with random weights. Split by stage, and set against the time
// of its matrix products alone.
//
// usage: bench_ctl_update [float32|bfloat16] [updates] [baseline]
// "baseline" also runs the sampling pass without cache and with (K, t, V) scores at every step, as published
// code does.
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <numeric>

#include "support/random_model.hpp"
#include "twistor/base/memory.hpp"
#include "twistor/base/stopwatch.hpp"
#include "twistor/comm/environment.hpp"
#include "twistor/learn/registry.hpp"
#include "twistor/learn/trainer.hpp"
#include "twistor/model/load.hpp"
#include "twistor/twist/head.hpp"

namespace {

using namespace twistor;

constexpr std::int64_t V = 50257, D = 768, layers = 4, heads = 16, context = 2048, K = 100, T = 20, L = 8;

/// A potential without cost.
class LastToken final : public potential::Potential {
 public:
  std::vector<double> log_phi(const potential::Sequences& s) const override {
    std::vector<double> out;
    for (std::int64_t i = 0; i < s.size(); ++i)
      out.push_back(-static_cast<double>(s.tokens[static_cast<std::size_t>((i + 1) * s.length - 1)] % 7));
    return out;
  }
  double log_phi_bound() const override { return 0; }
  std::string description() const override { return "last token modulo 7"; }
};

/// Rate of packed products of K rows, over a matrix of the vocabulary's size, in flops per second: the best
/// of a few.
double product_rate(device::Precision precision) {
  device::PackedBuffer w(V, D, precision);
  std::vector<float> rows(static_cast<std::size_t>(V * D), 0.01f), x(static_cast<std::size_t>(K * D), 0.5f);
  w.matrix().pack_rows(0, rows);
  rows = std::vector<float>();
  std::vector<float> y(static_cast<std::size_t>(K * V));
  double best = 1e30;
  for (int i = 0; i < 5; ++i)
    best = std::min(best, seconds_of([&] { device::multiply(x, K, w.matrix(), y); }));
  return 2.0 * static_cast<double>(K * V * D) / best;
}

/// The published way: at every step the whole prefix again, scores of both heads for every position.
double baseline_seconds(const smc::Problem& problem, const twist::HeadTwist& twist) {
  return seconds_of([&] {
    for (std::int64_t t = 1; t <= T; ++t) {
      const std::int64_t length = L + t - 1;
      auto cache = problem.lm.make_cache(K);
      const std::vector<std::int64_t> tokens(static_cast<std::size_t>(K * length), 11);
      const at::Tensor hidden = problem.lm.forward(tokens, *cache).view({K * length, D});
      const at::Tensor features = twist.features(hidden);
      // Positions one after another: the whole (K, L + t, V) would not fit this benchmark's memory goal.
      at::Tensor scores = at::empty({K, V});
      for (std::int64_t p = 0; p < length; ++p) {
        problem.lm.logits(hidden.slice(0, p * K, (p + 1) * K), 0, V, scores);
        twist.log_psi(features.slice(0, p * K, (p + 1) * K), 0, V, scores);
      }
    }
  });
}

void run(const std::string& dtype, int updates, bool has_baseline) {
  const device::Precision precision = from_name<device::Precision>(dtype, "the precision");
  const auto folder = test::make_random_gpt2(std::filesystem::temp_directory_path() / "twistor_bench_33m", V,
                                             D, layers, heads, context);
  const double rate = product_rate(precision);
  const auto lm = model::load_language_model(folder, {precision, {}});
  const LastToken potential;
  const std::vector<std::int64_t> prompt{7454, 2402, 257, 640, 11, 612, 373, 257};
  const smc::Problem problem{*lm, prompt, potential};
  const exact::Source exact{K, [](std::int64_t i) {
                              std::vector<std::int64_t> s;
                              for (std::int64_t t = 0; t < T; ++t) s.push_back((i * 977 + t * 131) % V);
                              return s;
                            }};
  twist::HeadTwist twist("mlp", {.width = D, .vocab_size = V, .precision = precision, .init_scale = 1.0});
  learn::TrainOptions options;
  options.length = T;
  options.adam.learning_rate = 3e-5;
  const comm::Communicator world = comm::Communicator::self();
  learn::Trainer trainer(
      problem, twist,
      learn::make_objective("ctl", {.batch = K, .positive_batch = K, .positives = learn::Positives::exact}),
      options, exact, world);
  (void)trainer.update();  // fills the positives' hidden states, which later updates keep

  learn::UpdateTimes sum;
  const double wall = seconds_of([&] {
                        for (int i = 0; i < updates; ++i) {
                          const learn::UpdateTimes t = trainer.update().times;
                          sum.sample_s += t.sample_s;
                          sum.positives_s += t.positives_s;
                          sum.gradient_s += t.gradient_s;
                          sum.reduce_s += t.reduce_s;
                          sum.step_s += t.step_s;
                          add_counters(sum.sweep, t.sweep);
                        }
                      }) /
                      updates;
  const double n = updates;
  const double body = 2.0 * layers * 12.0 * D * D, head = 2.0 * V * D, mlp = 4.0 * D * D;
  const double rows = static_cast<double>(sum.sweep.rows_scored) / n,
               tokens = static_cast<double>(sum.sweep.token_forwards) / n;
  // Forward of the base, both heads with the MLP, and forward and backward of the MLP for positives and
  // negatives.
  const double flops = tokens * body + rows * (2 * head + mlp) + 2.0 * K * T * (3.0 * mlp);
  fmt::print("{} on {} rows a step at most, {} updates after one warm-up\n\n", dtype, K, updates);
  fmt::print("stage                          seconds  share\n");
  const auto line = [&](const char* name, double s) {
    fmt::print("{:<28} {:>9.3f} {:>5.1f} %\n", name, s / n, 100 * s / n / wall);
  };
  line("sampling: base forward", sum.sweep.forward_s);
  line("sampling: both heads, draw", sum.sweep.heads_s);
  line("sampling: rest", sum.sample_s - sum.sweep.forward_s - sum.sweep.heads_s);
  line("positives", sum.positives_s);
  line("gradient", sum.gradient_s);
  line("adding shards", sum.reduce_s);
  line("Adam and packing", sum.step_s);
  fmt::print("one update                   {:>9.3f}\n\n", wall);
  fmt::print(
      "products alone: {:.0f} GFLOP at {:.0f} GFLOP/s = {:.3f} s; update / products = {:.2f} (goal <= 2)\n",
      flops * 1e-9, rate * 1e-9, flops / rate, wall * rate / flops);
  fmt::print("peak resident set: {:.2f} GB (goal < 1.5)\n",
             static_cast<double>(peak_memory_bytes()) / (1 << 30));
  if (has_baseline) {
    const double slow = baseline_seconds(problem, twist);
    fmt::print("sampling without cache, scores for every position: {:.1f} s, {:.1f} times our whole update\n",
               slow, slow / wall);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const comm::Environment environment(argc, argv);
  const std::vector<std::string> words(argv + 1, argv + argc);
  try {
    run(words.empty() ? "float32" : words[0], words.size() > 1 ? std::stoi(words[1]) : 3,
        std::find(words.begin(), words.end(), "baseline") != words.end());
  } catch (const Error& error) {
    fmt::print(stderr, "{}\n", error.text());
    return error.exit_code();
  }
}
