// SPDX-License-Identifier: Apache-2.0
// What safety costs (G13): durable checkpoints against a bare pwrite and fsync of the same bytes.
//
// usage: bench_checkpoint [FOLDER]    the folder decides which disk is measured; default: the current one
#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "twistor/base/atomic_file.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/base/stopwatch.hpp"
#include "twistor/store/checkpoint.hpp"

namespace {

using namespace twistor;

constexpr int n_repeats = 9;

// 200 MB in 24 arrays: an MLP head with Adam's moments.
store::Checkpoint make_checkpoint() {
  store::Checkpoint c;
  Array<float> array{{1043, 2000}, std::vector<float>(1043 * 2000)};
  Philox random(1, Stream::test, 0, 0);
  for (float& x : array.values) x = static_cast<float>(random.next_u32());
  for (const char* name :
       {"0.weight", "1.weight", "2.weight", "3.weight", "4.weight", "5.weight", "6.weight", "7.weight"}) {
    for (store::NamedArrays* arrays : {&c.parameters, &c.adam_m, &c.adam_v}) arrays->emplace(name, array);
  }
  return c;
}

double n_bytes(const store::Checkpoint& c) {
  double total = 0;
  for (const auto& [name, array] : c.parameters)
    total += 3.0 * static_cast<double>(array.values.size() * sizeof(float));
  return total;
}

void check(bool ok) {
  TWISTOR_CHECK(ok, ErrorKind::io, "writing the bare file", "a system call failed",
                "make room in that folder");
}

double time_bare(const std::filesystem::path& path, const store::Checkpoint& c) {
  const Stopwatch watch;
  const Descriptor fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666));
  check(static_cast<bool>(fd));
  std::uint64_t offset = 0;
  for (const auto* arrays : {&c.parameters, &c.adam_m, &c.adam_v}) {
    for (const auto& [name, array] : *arrays) {
      const auto bytes = std::as_bytes(std::span(array.values));
      check(write_fully(fd.get(), bytes, offset) == 0);
      offset += bytes.size();
    }
  }
  check(::fsync(fd.get()) == 0);
  const double taken = watch.seconds();
  std::filesystem::remove(path);
  return taken;
}

double time_checkpoint(const std::filesystem::path& path, const store::Checkpoint& c) {
  return seconds_of([&] { store::write_checkpoint(path, c); });
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void measure(const std::filesystem::path& folder) {
  const store::Checkpoint c = make_checkpoint();
  const auto path = folder / "bench_checkpoint.h5";
  std::vector<double> bare, safe, ratio, reading;
  for (int i = 0; i < n_repeats; ++i) {  // in turns and in both orders, so that both meet the same disk
    if (i % 2 == 0) bare.push_back(time_bare(folder / "bench_checkpoint.raw", c));
    safe.push_back(time_checkpoint(path, c));
    if (i % 2 == 1) bare.push_back(time_bare(folder / "bench_checkpoint.raw", c));
    ratio.push_back(bare.back() / safe.back());
    const Stopwatch watch;
    if (store::load_checkpoint(path) != c) throw Error(ErrorKind::internal, "reading back", "another state");
    reading.push_back(watch.seconds());
  }
  const double mb = n_bytes(c) / 1e6;
  fmt::print("{:<34}{:>10}{:>10}\n", fmt::format("{:.0f} MB, medians of {}", mb, n_repeats), "ms", "MB/s");
  fmt::print("{:<34}{:>10.1f}{:>10.0f}\n", "bare pwrite and fsync", 1e3 * median(bare), mb / median(bare));
  fmt::print("{:<34}{:>10.1f}{:>10.0f}\n", "durable checkpoint", 1e3 * median(safe), mb / median(safe));
  fmt::print("{:<34}{:>10.1f}{:>10.0f}\n", "verified reading and comparing", 1e3 * median(reading),
             mb / median(reading));
  fmt::print("rate of checkpoints / bare: {:.2f} (goal: at least 0.70)\n", median(ratio));
  std::filesystem::remove(path);
  std::filesystem::remove(previous_generation(path));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    measure(argc > 1 ? argv[1] : ".");
    return 0;
  } catch (const Error& error) {
    fmt::print(stderr, "{}\n", error.text());
    return error.exit_code();
  }
}
