// SPDX-License-Identifier: Apache-2.0
// What dividing Adam's moments over the ranks of a node saves: one step of a (V, D) output matrix whose
// gradient comes as rows, whole on every rank against divided.
//
// usage: bench_moments [V D [STEPS]]    default: 50257 1024 9; to be run on several ranks
#include <fmt/core.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "bench_tools.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/comm/environment.hpp"
#include "twistor/learn/optimizer.hpp"

namespace {

using namespace twistor;

/// What this process has in memory now, in MB.
double resident_mb() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (double kb = 0; word == "VmRSS:" && status >> kb) return kb / 1024;
  return std::numeric_limits<double>::quiet_NaN();
}

twist::Parameter output_matrix(std::int64_t V, std::int64_t D) {
  twist::Parameter p{"output.weight", {V, D}, std::vector<float>(static_cast<std::size_t>(V * D), 1.0F)};
  p.has_row_gradient = true;
  return p;
}

/// Gradient of every fiftieth row, about a thousand tokens of GPT-2's vocabulary.
twist::GradientBlock gradient_of(const twist::Parameter& p, std::uint32_t step) {
  twist::GradientBlock out;
  for (std::int64_t row = step % 50; row < p.shape[0]; row += 50) out.rows.push_back(row);
  out.values.resize(out.rows.size() * static_cast<std::size_t>(p.width()));
  Philox random(3, Stream::test, step, 0);
  for (float& g : out.values) g = static_cast<float>(random.normal());
  return out;
}

struct Side {
  Side(std::int64_t V, std::int64_t D, std::size_t divided_from, const comm::Communicator& world)
      : optimizer(world, divided_from), parameter(output_matrix(V, D)) {}
  void step(std::uint32_t number, const comm::Communicator& world) {
    const twist::GradientBlock gradient = gradient_of(parameter, number);
    world.barrier();
    const double before = resident_mb();
    seconds.push_back(comm::all_reduce_max(
        seconds_of([&] { optimizer.update({}, number + 1, gradient, parameter); }), world));
    grown_mb = std::max(grown_mb, resident_mb() - before);
  }
  learn::Optimizer optimizer;
  twist::Parameter parameter;
  std::vector<double> seconds{};
  double grown_mb = 0;
};

void run(int argc, char** argv) {
  const comm::Environment environment(argc, argv);
  const comm::Communicator world = comm::Communicator::world();
  const std::int64_t V = argc > 2 ? std::stoll(argv[1]) : 50257, D = argc > 2 ? std::stoll(argv[2]) : 1024;
  const std::uint32_t steps = argc > 3 ? static_cast<std::uint32_t>(std::stoul(argv[3])) : 9;
  Side whole(V, D, std::numeric_limits<std::size_t>::max(), world),
      divided(V, D, learn::least_divided_moments, world);
  for (std::uint32_t i = 0; i < steps; ++i) {  // in turns and in both orders: both meet the same machine
    (i % 2 == 0 ? whole : divided).step(i, world);
    (i % 2 == 0 ? divided : whole).step(i, world);
  }
  const std::vector<float>&a = whole.parameter.value, &b = divided.parameter.value;
  const bool is_equal = std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
  if (world.rank() != 0) return;
  fmt::print("V = {}, D = {}, {} ranks on a node, {} steps; bits of the values are {}\n", V, D, world.size(),
             steps, is_equal ? "equal" : "NOT EQUAL");
  fmt::print("{:>10}{:>14}{:>18}{:>14}{:>14}\n", "moments", "MB a rank", "grown by (RSS) MB", "median ms",
             "least ms");
  for (const Side* side : {&whole, &divided})
    fmt::print("{:>10}{:>14.1f}{:>18.1f}{:>14.1f}{:>14.1f}\n", side == &whole ? "whole" : "divided",
               static_cast<double>(side->optimizer.bytes()) * 1e-6, side->grown_mb,
               1e3 * bench::median(side->seconds),
               1e3 * *std::min_element(side->seconds.begin(), side->seconds.end()));
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_main([&] { run(argc, argv); });
}
