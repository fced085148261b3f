// SPDX-License-Identifier: Apache-2.0
// Whole sweeps on an engine, and how their steps share the time: forward passes, heads with draws, everything
// on the host; against the bare products of the same shapes (U1, U2).
//
// usage: bench_engine [DEVICE [KERNELS [MODEL [DTYPE [N,N,... [T [GRAPHS [deterministic]]]]]]]]
//        DEVICE: cpu, cuda, emulated; KERNELS: auto, own, aten; MODEL: path, "random-gpt2", "tiny", ...
//        default: cpu auto random-768 float32 16,64 16
#include <ATen/core/Tensor.h>
#include <fmt/core.h>

#include <cstdint>
#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

#include "bench_tools.hpp"
#include "twistor/base/names.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/comm/environment.hpp"
#include "twistor/device/choose.hpp"
#include "twistor/smc/sampler.hpp"

namespace {

using namespace twistor;

constexpr std::int64_t prompt_tokens = 16;

struct Task {
  std::shared_ptr<const device::Engine> engine;
  std::unique_ptr<model::LanguageModel> lm;
  device::Precision precision;
  std::int64_t T;
};

/// Returns when the device has done all that was asked of it.
void wait_for(const at::Tensor& x) {
  (void)device::to_host(x.flatten().narrow(0, 0, 1).to(at::kFloat));
}

/// Seconds of an operation that leaves its result in `out`.
template <class F>
double seconds_each(const at::Tensor& out, F f) {
  constexpr int together = 20;
  const double best = bench::best_time(4, [&] {
    for (int i = 0; i < together; ++i) f();
    wait_for(out);
  });
  return best / together;
}

/// Seconds of a product x W^T, (n, k) by (v, k), as the engine's dtype has it.
double product_seconds(const Task& task, std::int64_t n, std::int64_t v, std::int64_t k) {
  device::Linear w{task.engine->make_weight(v, k, task.precision), {}};
  task.engine->write_rows(w.weight, 0, std::vector<float>(static_cast<std::size_t>(v * k), 0.01F));
  const at::Tensor x = task.engine->empty({n, k}).fill_(0.5);
  at::Tensor y = task.engine->empty({n, v});
  return seconds_each(y, [&] { task.engine->project(x, w, y); });
}

/// A layer as wide as the smallest GPT-2's, operation by operation, n rows after `past` tokens of their own.
void measure_layer(const Task& task, std::int64_t n, std::int64_t past) {
  constexpr std::int64_t d = 768, heads = 12, f = 4 * d;
  const device::Engine& e = *task.engine;
  const std::vector<float> ones(d, 1.0F);
  const device::Norm norm{device::NormKind::layer_norm, 1e-5F, e.upload(ones), e.upload(ones)};
  at::Tensor x = e.empty({n, d}).fill_(0.5), y = e.empty({n, d}), inner = e.empty({n, f}).fill_(0.5);
  const double norm_s = seconds_each(y, [&] { e.normalise(norm, x, y); });
  const double activate_s = seconds_each(inner, [&] {
    at::Tensor out = e.empty({n, f});
    e.activate(device::ActivationKind::gelu_tanh, false, inner, out);
  });
  const auto store = e.make_kv_store({1, heads, d / heads, task.precision});
  const std::int64_t blocks = past / 16 + 1;
  while (store->capacity() < n * blocks) store->grow();
  std::vector<std::int32_t> table(static_cast<std::size_t>(n * blocks));
  std::iota(table.begin(), table.end(), 0);
  const device::KvRows rows{store.get(), table, n, blocks, past, 1};
  device::AttentionShape shape;
  shape.n_heads = shape.n_kv_heads = heads;
  shape.head_size = d / heads;
  const auto pass = e.begin_attention(shape, rows);
  at::Tensor qkv = e.empty({n, 3 * d}).fill_(0.1), out = e.empty({n, d});
  const double attend_s = seconds_each(out, [&] { pass->run({0, 0.125F, 0}, qkv, out); });
  fmt::print(
      "one layer at n = {}, {} tokens past, us: norm {:.1f}, attention {:.1f}, activation {:.1f}, products",
      n, past, 1e6 * norm_s, 1e6 * attend_s, 1e6 * activate_s);
  for (const auto& [v, k] : {std::pair{3 * d, d}, std::pair{d, d}, std::pair{f, d}, std::pair{d, f}})
    fmt::print(" {:.1f}", 1e6 * product_seconds(task, n, v, k));
  fmt::print("\n");
}

struct StepTime {
  double forward_s = 0, score_s = 0, draw_s = 0;
};

/// Of the later half of T steps, where nothing is allocated any more.
StepTime steps(const Task& task, const twist::Twist& twist, std::int64_t n) {
  const smc::Proposal proposal(*task.lm, twist, smc::ProposalKind::twisted);
  const auto prompt = bench::some_tokens(prompt_tokens, task.lm->vocab_size());
  const auto cache = task.lm->make_cache(1);
  at::Tensor hidden = task.lm->forward(prompt, *cache).select(1, prompt_tokens - 1).contiguous();
  std::vector<std::int64_t> node(static_cast<std::size_t>(n), 0);
  cache->select(node);
  hidden = hidden.expand({n, hidden.size(1)}).contiguous();
  std::iota(node.begin(), node.end(), std::int64_t{0});
  std::vector<double> u(node.size());
  StepTime sum;
  std::int64_t n_timed = 0;
  for (std::int64_t t = 0; t < task.T; ++t) {
    StepTime time;
    smc::RowScores rows;
    for (std::size_t i = 0; i < u.size(); ++i)
      u[i] = Philox(1, Stream::tokens, static_cast<std::uint32_t>(t), i).uniform();
    std::vector<std::int64_t> tokens;
    time.score_s = seconds_of([&] { rows = proposal.score(hidden); });
    time.draw_s = seconds_of([&] { tokens = proposal.draw(rows, hidden, node, u).tokens; });
    time.forward_s = seconds_of([&] {
      hidden = task.lm->forward(tokens, *cache).select(1, 0).contiguous();
      wait_for(hidden);
    });
    if (2 * t < task.T) continue;
    sum.forward_s += time.forward_s;
    sum.score_s += time.score_s;
    sum.draw_s += time.draw_s;
    ++n_timed;
  }
  const auto steps = static_cast<double>(n_timed);
  return {sum.forward_s / steps, sum.score_s / steps, sum.draw_s / steps};
}

double sweep_seconds(const Task& task, const twist::Twist& twist, std::int64_t n,
                     const comm::Communicator& world) {
  const bench::FlatPotential potential;
  const smc::Proposal proposal(*task.lm, twist, smc::ProposalKind::twisted);
  const auto prompt = bench::some_tokens(prompt_tokens, task.lm->vocab_size());
  const smc::Problem problem = smc::Problem{*task.lm, prompt, potential}.with_start();
  smc::SweepOptions options;
  options.particles = n;
  options.length = task.T;
  options.trigger = smc::Trigger::ess;
  return bench::best_time(3, [&] { (void)smc::sweep(problem, proposal, options, world); });
}

void measure(const Task& task, const std::vector<std::int64_t>& counts, const comm::Communicator& world) {
  const std::int64_t d = task.lm->hidden_size(), v = task.lm->vocab_size();
  const auto prompt = bench::some_tokens(prompt_tokens, v);
  const twist::HeadTwist twist = bench::rough_twist(*task.lm, prompt, task.precision, 0.5);
  fmt::print("engine: {}; {}; T = {}; twist linear, sd 0.5\n", task.engine->description(),
             task.lm->description(), task.T);
  fmt::print(
      "       n   ktokens/s  sweep ms/step  forward ms  score ms  draw ms  head product ms  score/2 "
      "products\n");
  for (const std::int64_t n : counts) {
    const StepTime step = steps(task, twist, n);
    const double sweep = sweep_seconds(task, twist, n, world), product = product_seconds(task, n, v, d);
    const auto total = static_cast<double>(n * task.T);
    fmt::print("{:8} {:11.1f} {:14.3f} {:11.3f} {:9.3f} {:8.3f} {:16.3f} {:17.2f}\n", n, 1e-3 * total / sweep,
               1e3 * sweep / static_cast<double>(task.T), 1e3 * step.forward_s, 1e3 * step.score_s,
               1e3 * step.draw_s, 1e3 * product, step.score_s / (2 * product));
    std::fflush(stdout);
  }
  for (const std::int64_t n : counts) measure_layer(task, n, 31);
}

}  // namespace

int main(int argc, char** argv) {
  const comm::Environment environment(argc, argv);
  return bench::run_main([&] {
    const std::vector<std::string> words(argv + 1, argv + argc);
    const auto word = [&](std::size_t i, const char* otherwise) {
      return words.size() > i ? words[i] : std::string(otherwise);
    };
    const auto world = comm::Communicator::world();
    Task task{device::make_engine(
                  from_name<device::Place>(word(0, "cpu"), "DEVICE"),
                  from_name<device::KernelChoice>(word(1, "auto"), "KERNELS"), world.node().rank(),
                  {from_name<device::Precision>(word(3, "float32"), "DTYPE"),
                   from_name<device::GraphUse>(word(6, "auto"), "GRAPHS"), word(7, "") == "deterministic"}),
              nullptr, from_name<device::Precision>(word(3, "float32"), "DTYPE"), std::stoll(word(5, "16"))};
    model::LoadOptions options;
    options.precision = task.precision;
    options.engine = task.engine;
    task.lm = model::load_language_model(bench::model_path(word(2, "random-768")), options);
    measure(task, bench::numbers(word(4, "16,64")), world);
  });
}
