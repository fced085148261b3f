// SPDX-License-Identifier: Apache-2.0
// Tokens per second of n particles after a shared prompt, and the share of the roofline measured in the same
// run (G7, G19).
//
// usage: bench_decode [MODEL [N,N,...]]    MODEL: path, "default", "random-768"; default: SmolLM2 if it is
// there; 1,16,64
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "bench_tools.hpp"
#include "fma_peak.hpp"
#include "twistor/device/isa.hpp"
#include "twistor/device/packed_matrix.hpp"
#include "twistor/smc/proposal.hpp"

namespace {

using namespace twistor;

constexpr std::int64_t prompt_tokens = 16, new_tokens = 32;

std::uint64_t sum_of(const std::uint64_t* values, std::int64_t n) {
  std::uint64_t sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += values[i];
  return sum;
}

/// Bytes per second of reading 768 MiB with all threads, each its own part.
double read_bandwidth() {
  const std::vector<std::uint64_t> buffer(std::size_t{96} << 20, 1);
  std::uint64_t sum = 0;
  const auto n = static_cast<std::int64_t>(buffer.size());
  const double best = bench::best_time(9, [&] {
#pragma omp parallel reduction(+ : sum)
    {
      const std::int64_t part = omp_get_thread_num(), parts = omp_get_num_threads();
      sum += sum_of(buffer.data() + n * part / parts, n * (part + 1) / parts - n * part / parts);
    }
  });
  if (sum % 9 != 0) fmt::print("the sum is wrong\n");  // keeps the work from being removed
  return static_cast<double>(n) * 8 / best;
}

/// The model with the size of what a step must read.
struct Loaded {
  std::unique_ptr<std::byte[]> memory;
  std::size_t weight_bytes = 0;
  std::unique_ptr<model::LanguageModel> lm;
};

Loaded load(const std::string& name, device::Precision precision) {
  Loaded out;
  model::LoadOptions options;
  options.precision = precision;
  options.memory.allocate = [&out](std::size_t bytes) {
    out.weight_bytes = bytes;
    out.memory = std::make_unique<std::byte[]>(bytes + 64);
    const auto address = reinterpret_cast<std::uintptr_t>(out.memory.get());
    return out.memory.get() + (64 - address % 64) % 64;
  };
  out.lm = model::load_language_model(bench::model_path(name), options);
  return out;
}

/// The number of weights, as the model describes itself.
double parameters_of(const model::LanguageModel& lm) {
  const std::string text = lm.description();
  return 1e6 * std::stod(text.substr(text.find(", ") + 2));
}

/// Seconds of one decode: 32 steps of forward, head and draw, after the prompt and the first draw.
struct DecodeTime {
  double total_s = 0, forward_s = 0, head_s = 0;
};

DecodeTime decode(const model::LanguageModel& lm, std::int64_t n) {
  const twist::NoTwist no_twist(lm.vocab_size());
  const smc::Proposal proposal(lm, no_twist, smc::ProposalKind::base);
  const auto cache = lm.make_cache(1);
  const std::vector<std::int64_t> prompt = bench::some_tokens(prompt_tokens, lm.vocab_size());
  at::Tensor hidden = lm.forward(prompt, *cache).select(1, prompt_tokens - 1).contiguous();
  std::vector<std::int64_t> node(static_cast<std::size_t>(n), 0), tokens;
  const std::vector<std::int64_t> forced(node.size(), -1);
  std::vector<double> u(node.size());
  const auto draw = [&](std::int64_t t) {
    for (std::size_t i = 0; i < u.size(); ++i)
      u[i] = Philox(1, Stream::tokens, static_cast<std::uint32_t>(t), i).uniform();
    tokens = proposal.draw(proposal.score(hidden), hidden, node, u, forced).tokens;
  };
  draw(0);
  cache->select(node);
  std::iota(node.begin(), node.end(), std::int64_t{0});
  DecodeTime time;
  time.total_s = seconds_of([&] {
    for (std::int64_t t = 1; t <= new_tokens; ++t) {
      time.forward_s += seconds_of([&] { hidden = lm.forward(tokens, *cache).select(1, 0).contiguous(); });
      time.head_s += seconds_of([&] { draw(t); });
    }
  });
  return time;
}

/// FLOP/s of the largest product, (n, D) by (V, D)^T, with our kernel.
double own_rate(const device::PackedMatrix& w, std::int64_t n) {
  const std::vector<float> x(static_cast<std::size_t>(n * w.k()), 0.5F);
  std::vector<float> y(static_cast<std::size_t>(n * w.n()));
  const double best = bench::best_time(5, [&] { device::multiply(x, n, w, y); });
  return 2.0 * static_cast<double>(n * w.n() * w.k()) / best;
}

/// The same by LibTorch.
double library_rate(std::int64_t v, std::int64_t d, std::int64_t n, device::Precision precision) {
  const auto dtype = precision == device::Precision::float32 ? at::kFloat : at::kBFloat16;
  const at::Tensor x = at::randn({n, d}).to(dtype), w = at::randn({v, d}).to(dtype);
  const at::Tensor transposed = w.t();
  const double best = bench::best_time(5, [&] { (void)at::mm(x, transposed); });
  return 2.0 * static_cast<double>(n * v * d) / best;
}

/// Forward passes of many tokens at a time: one sequence of 512, and the 64 sequences of 32 of a training
/// batch.
void measure_passes(const model::LanguageModel& lm, double parameters, double best_rate) {
  struct Pass {
    const char* name;
    std::int64_t sequences, length;
  };
  const double layers = parameters - static_cast<double>(lm.vocab_size() * lm.hidden_size());
  for (const Pass pass : {Pass{"prefill, 1 x 512", 1, 512}, Pass{"sequence pass, 64 x 32", 64, 32}}) {
    const std::vector<std::int64_t> tokens =
        bench::some_tokens(pass.sequences * pass.length, lm.vocab_size());
    const double best = bench::best_time(3, [&] {
      const auto cache = lm.make_cache(pass.sequences);
      (void)lm.forward(tokens, *cache);
    });
    const double rate = 2.0 * layers * static_cast<double>(tokens.size()) / best;
    fmt::print("{}: {:.1f} ms, {:.0f} GFLOP/s of products, {:.2f} of the best product rate; goal 0.70: {}\n",
               pass.name, 1e3 * best, rate * 1e-9, rate / best_rate, bench::goal(rate >= 0.7 * best_rate));
  }
}

void measure(const std::string& name, const std::vector<std::int64_t>& counts, device::Precision precision,
             double parameters) {
  const Loaded loaded = load(name, precision);
  const model::LanguageModel& lm = *loaded.lm;
  const std::int64_t V = lm.vocab_size(), D = lm.hidden_size();
  device::PackedBuffer head(V, D, precision);
  head.matrix().pack_rows(0, std::vector<float>(static_cast<std::size_t>(V * D), 0.5F));
  const double mm = library_rate(V, D, 128, precision), own_128 = own_rate(head.matrix(), 128),
               bandwidth = read_bandwidth();
  fmt::print(
      "\n{}\n{:.0f} MB of weights, read at {:.1f} GB/s; product {} x {} at 128 rows: LibTorch's at::mm "
      "{:.0f} GFLOP/s, "
      "ours {:.0f}\n",
      lm.description(), static_cast<double>(loaded.weight_bytes) * 1e-6, bandwidth * 1e-9, V, D, mm * 1e-9,
      own_128 * 1e-9);
  double best_rate = std::max(mm, own_128);
  std::vector<double> own, library;
  for (const std::int64_t n : counts) {
    own.push_back(own_rate(head.matrix(), n));
    library.push_back(library_rate(V, D, n, precision));
    best_rate = std::max({best_rate, own.back(), library.back()});
  }
  if (precision == device::Precision::float32) {
    const double peak = bench::fma_peak();
    fmt::print(
        "fused multiply-adds over registers: {:.0f} GFLOP/s; our product at 128 rows {:.2f} of it; goal "
        "0.85: {}\n",
        peak * 1e-9, own_128 / peak, bench::goal(own_128 >= 0.85 * peak));
  }
  fmt::print("{:>6}{:>10}{:>10}{:>10}{:>10}{:>12}{:>12}{:>10}{:>8}\n", "n", "tokens/s", "step ms", "forward",
             "head", "own GFLOP/s", "mm GFLOP/s", "roof ms", "share");
  const auto bytes = static_cast<double>(loaded.weight_bytes);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const auto n = static_cast<double>(counts[i]);
    DecodeTime time = decode(lm, counts[i]);  // twice, the better one: the first also touches fresh memory
    const DecodeTime again = decode(lm, counts[i]);
    if (again.total_s < time.total_s) time = again;
    const double step = time.total_s / new_tokens;
    const double roof = std::max(bytes / bandwidth, 2.0 * parameters * n / best_rate);
    fmt::print("{:>6}{:>10.1f}{:>10.2f}{:>10.2f}{:>10.2f}{:>12.0f}{:>12.0f}{:>10.2f}{:>8.2f}\n", counts[i],
               n / step, 1e3 * step, 1e3 * time.forward_s / new_tokens, 1e3 * time.head_s / new_tokens,
               own[i] * 1e-9, library[i] * 1e-9, 1e3 * roof, roof / step);
    std::fflush(stdout);
  }
  measure_passes(lm, parameters, best_rate);
}

void run(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "default";
  const std::vector<std::int64_t> counts = bench::numbers(argc > 2 ? argv[2] : "1,16,64");
  fmt::print("Decode of n particles, prompt of {} tokens, {} new tokens each, {} threads, {}\n",
             prompt_tokens, new_tokens, omp_get_max_threads(), name_of(device::isa_in_use()));
  fmt::print(
      "roof = max(weights / bandwidth, 2 n parameters / best product rate seen); goal at n >= 16: share >= "
      "0.5\n");
  const double parameters = parameters_of(*load(name, device::Precision::bfloat16).lm);
  for (const auto precision : {device::Precision::float32, device::Precision::bfloat16})
    measure(name, counts, precision, parameters);
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_main([&] { run(argc, argv); });
}
