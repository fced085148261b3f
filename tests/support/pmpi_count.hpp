// SPDX-License-Identifier: Apache-2.0
// Counts MPI calls by name through the profiling interface: tests and benchmarks link it and ask how often
// what was called.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace twistor::pmpi {

struct CallCount {
  std::int64_t calls = 0;
  std::int64_t bytes =
      0;  ///< what this rank gave: its send buffer, or the buffer that is reduced or broadcast
  std::int64_t max_bytes = 0;  ///< the largest single call
};

/// The calls of this rank since the last reset(), by name ("MPI_Allreduce"). Calls that MPI makes inside
/// itself are not counted.
struct Counts {
  std::map<std::string, CallCount> by_name;

  [[nodiscard]] CallCount of(const std::string& name) const;
  /// Calls of collectives (blocking or not), barriers included; of messages sent; and the bytes of both.
  [[nodiscard]] std::int64_t collectives() const;
  [[nodiscard]] std::int64_t messages() const;
  [[nodiscard]] std::int64_t bytes() const;
};

void reset();
[[nodiscard]] Counts read();

}  // namespace twistor::pmpi
