// SPDX-License-Identifier: Apache-2.0
// What the ranks of a node save by dividing Adam's moments, and by having the values in common: one step of a
// (V, D) output matrix whose gradient comes as rows.
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
#include "twistor/comm/node_memory.hpp"
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

twist::Parameter output_matrix(std::int64_t V, std::int64_t D, twist::Values values) {
  twist::Parameter p{"output.weight", {V, D}, std::move(values)};
  p.has_row_gradient = true;
  std::ranges::fill(p.value.part(), 1.0F);
  return p;
}

std::vector<float> own_values(std::int64_t V, std::int64_t D) {
  return std::vector<float>(static_cast<std::size_t>(V * D));
}

twist::Values common_values(std::int64_t V, std::int64_t D, const comm::Communicator& node) {
  auto memory = comm::common_memory(node, static_cast<std::size_t>(V * D) * sizeof(float));
  const auto [begin, end] = memory->part_of(V);
  return {std::move(memory), static_cast<std::size_t>(begin * D), static_cast<std::size_t>(end * D)};
}

/// Gradient of every fiftieth row, about a thousand tokens of GPT-2's vocabulary.
twist::GradientBlock gradient_of(const twist::Parameter& p, std::uint32_t step) {
  twist::GradientBlock out;
  for (std::int64_t row = step % 50; row < p.shape[0]; row += 50) out.rows.push_back(row);
  std::vector<float> values(out.rows.size() * static_cast<std::size_t>(p.width()));
  Philox random(3, Stream::test, step, 0);
  for (float& g : values) g = static_cast<float>(random.normal());
  out.values = device::cpu_engine()->upload(values);
  return out;
}

struct Side {
  Side(const char* its_name, twist::Parameter p, std::size_t divided_from, const comm::Communicator& world)
      : name(its_name), optimizer(world, divided_from, device::cpu_engine()), parameter(std::move(p)) {}
  void step(std::uint32_t number, const comm::Communicator& world) {
    const twist::GradientBlock gradient = gradient_of(parameter, number);
    world.barrier();
    const double before = resident_mb();
    const double own = seconds_of([&] {
      optimizer.update({}, number + 1, gradient, parameter);
      if (parameter.value.common() != nullptr) parameter.value.common()->meet();
    });
    seconds.push_back(comm::all_reduce_max(own, world));
    grown_mb = std::max(grown_mb, resident_mb() - before);
  }
  /// Of values, that this rank alone has or its share of common ones.
  [[nodiscard]] double value_mb() const {
    const auto n =
        parameter.value.common() == nullptr ? parameter.value.size() : parameter.value.part().size();
    return static_cast<double>(n * sizeof(float)) * 1e-6;
  }
  const char* name;
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
  const comm::Communicator node = world.node();
  const auto own = [&] { return output_matrix(V, D, own_values(V, D)); };
  Side whole("whole", own(), std::numeric_limits<std::size_t>::max(), world),
      divided("divided", own(), learn::least_divided_moments, world),
      common("in common", output_matrix(V, D, common_values(V, D, node)), learn::least_divided_moments,
             world);
  std::vector<Side*> sides{&whole, &divided, &common};
  for (std::uint32_t i = 0; i < steps; ++i) {  // in turns, in another order each time
    for (Side* const side : sides) side->step(i, world);
    std::ranges::rotate(sides, sides.begin() + 1);
  }
  const auto same = [&](const Side& side) {
    return std::memcmp(side.parameter.value.data(), whole.parameter.value.data(),
                       whole.parameter.value.size() * sizeof(float)) == 0;
  };
  const bool is_equal = same(divided) && same(common);
  if (world.rank() != 0) return;
  fmt::print("V = {}, D = {}, {} ranks on a node, {} steps; bits of the values are {}\n", V, D, world.size(),
             steps, is_equal ? "equal" : "NOT EQUAL");
  fmt::print("{:>10}{:>18}{:>18}{:>18}{:>12}{:>12}\n", "", "moments, MB/rank", "values, MB/rank",
             "grown by (RSS) MB", "median ms", "least ms");
  for (const Side* side : {&whole, &divided, &common})
    fmt::print("{:>10}{:>18.1f}{:>18.1f}{:>18.1f}{:>12.1f}{:>12.1f}\n", side->name,
               static_cast<double>(side->optimizer.bytes()) * 1e-6, side->value_mb(), side->grown_mb,
               1e3 * bench::median(side->seconds),
               1e3 * *std::min_element(side->seconds.begin(), side->seconds.end()));
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_main([&] { run(argc, argv); });
}
