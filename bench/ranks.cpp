// SPDX-License-Identifier: Apache-2.0
// One line about a sweep on however many ranks this was started on: seconds, stages, memory. bench/ranks.sh
// makes ratios of such lines (G1, G9, G10, G17).
//
// usage: mpirun -n P bench_ranks MODEL DTYPE K T [REPEATS [ISLANDS]]    MODEL: path, "tiny", "random-768",
// "default"
//        bench_ranks --header                                 the names of the columns
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <ctime>
#include <fstream>
#include <string>
#include <vector>

#include "bench_tools.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/comm/environment.hpp"
#include "twistor/smc/sampler.hpp"

namespace {

using namespace twistor;

constexpr std::int64_t prompt_tokens = 8;

void print_header() {
  fmt::print("{:>5}{:>8}{:>10}{:>10}{:>10}{:>11}{:>9}{:>9}{:>8}{:>9}{:>9}{:>10}{:>10}{:>10}{:>9}  {}\n",
             "ranks", "threads", "seconds", "forward", "heads", "resampling", "share", "events", "moved",
             "rows", "Pss MB", "model MB", "first MB", "others MB", "CPU s", "log Z bits");
}

/// A field of a file in /proc/self, in bytes.
std::int64_t memory_bytes(const std::string& name, const std::string& field) {
  std::ifstream file("/proc/self/" + name);
  std::string word;
  while (file >> word) {
    if (word != field + ":") continue;
    std::int64_t kilobytes = 0;
    file >> kilobytes;
    return kilobytes * 1024;
  }
  return 0;
}

/// Processor seconds of this process, all threads.
double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// The slowest rank's seconds of one sweep, and the sweep.
struct Timed {
  double wall_s = 0;
  double cpu_s = 0;  ///< of all ranks together, waiting included
  smc::SweepCounters
      counters;  ///< seconds: the mean over the ranks; resampling includes waiting for the others
  double log_z = 0;
};

Timed timed_sweep(const smc::Problem& problem, const smc::Proposal& proposal,
                  const smc::SweepOptions& options, const comm::Communicator& world) {
  world.barrier();
  Timed out;
  const double cpu_before = cpu_seconds();
  out.wall_s = seconds_of([&] {
    const smc::Sweep sweep = smc::sweep(problem, proposal, options, world);
    out.counters = sweep.counters;
    out.log_z = sweep.log_z;
  });
  out.cpu_s = 1e-6 * static_cast<double>(comm::all_reduce_sum(
                         static_cast<std::int64_t>(1e6 * (cpu_seconds() - cpu_before)), world));
  out.wall_s = comm::all_reduce_max(out.wall_s, world);
  const auto mean_of_ranks = [&](double& value) {
    std::int64_t us = comm::all_reduce_sum(static_cast<std::int64_t>(1e6 * value), world);
    value = 1e-6 * static_cast<double>(us) / world.size();
  };
  for (double* value : {&out.counters.forward_s, &out.counters.heads_s, &out.counters.resample_s})
    mean_of_ranks(*value);
  out.counters.token_forwards = comm::all_reduce_sum(out.counters.token_forwards, world);
  out.counters.moved_copies = comm::all_reduce_sum(out.counters.moved_copies, world);
  return out;
}

void measure(const std::vector<std::string>& arguments, const comm::Communicator& world) {
  TWISTOR_CHECK(arguments.size() >= 4, ErrorKind::usage, "reading the command line",
                "expected MODEL DTYPE K T [REPEATS [ISLANDS]]");
  const device::Precision precision = from_name<device::Precision>(arguments[1], "the precision");
  const std::int64_t before = comm::all_reduce_sum(memory_bytes("smaps_rollup", "Pss"), world);
  const auto shared = bench::load_shared(arguments[0], precision, world);
  world.barrier();
  const std::int64_t with_model = comm::all_reduce_sum(memory_bytes("smaps_rollup", "Pss"), world);
  const model::LanguageModel& lm = *shared->lm;
  const std::vector<std::int64_t> prompt = bench::some_tokens(prompt_tokens, lm.vocab_size());
  const twist::HeadTwist twist = bench::rough_twist(lm, prompt, precision, 0.5);
  const bench::FlatPotential potential;
  const smc::Problem problem = smc::Problem{lm, prompt, potential}.with_start();  // as commands do
  const smc::Proposal proposal(lm, twist, smc::ProposalKind::twisted);
  smc::SweepOptions options;
  options.particles = std::stoll(arguments[2]);
  options.length = std::stoll(arguments[3]);
  if (arguments.size() > 5) options.islands = std::stoll(arguments[5]);
  const std::int64_t repeats = arguments.size() > 4 ? std::stoll(arguments[4]) : 3;
  const std::int64_t resident = memory_bytes("status", "VmRSS");
  std::ofstream("/proc/self/clear_refs") << 5;  // what is resident is the peak again
  Timed best = timed_sweep(problem, proposal, options, world);
  for (std::int64_t i = 1; i < repeats; ++i) {
    const Timed next = timed_sweep(problem, proposal, options, world);
    const double cpu_s = std::min(best.cpu_s, next.cpu_s);
    if (next.wall_s < best.wall_s) best = next;
    best.cpu_s = cpu_s;  // the least, too: disturbances only add
  }
  const std::int64_t pss = comm::all_reduce_sum(memory_bytes("smaps_rollup", "Pss"), world);
  std::int64_t of_others = memory_bytes("status", "VmHWM") - resident;
  const std::int64_t of_first = comm::broadcast_value(of_others, world);
  of_others = (comm::all_reduce_sum(of_others, world) - of_first) / std::max(1, world.size() - 1);
  if (world.rank() != 0) return;
  const smc::SweepCounters& c = best.counters;
  fmt::print(
      "{:>5}{:>8}{:>10.3f}{:>10.3f}{:>10.3f}{:>11.4f}{:>9.4f}{:>9}{:>8}{:>9}{:>9.0f}{:>10.0f}{:>10.0f}{:>10."
      "0f}{:>9.3f}  "
      "{:016x}\n",
      world.size(), omp_get_max_threads(), best.wall_s, c.forward_s, c.heads_s, c.resample_s,
      c.resample_s / best.wall_s, c.resamplings, c.moved_copies, c.token_forwards,
      static_cast<double>(pss) * 1e-6, static_cast<double>(with_model - before) * 1e-6,
      static_cast<double>(of_first) * 1e-6, static_cast<double>(of_others) * 1e-6, best.cpu_s,
      std::bit_cast<std::uint64_t>(best.log_z));
}

void run(int argc, char** argv) {
  if (argc == 2 && std::string(argv[1]) == "--header") {
    print_header();
    return;
  }
  const comm::Environment environment(argc, argv);
  measure({argv + 1, argv + argc}, comm::Communicator::world());
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_main([&] { run(argc, argv); });
}
