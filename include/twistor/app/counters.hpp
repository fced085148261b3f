// What a run counts: events, largest sizes and seconds, each added up over time and over ranks by its own
// rule.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "twistor/comm/communicator.hpp"
#include "twistor/smc/sampler.hpp"

namespace twistor::app {

/// By kind and name. Integers stay integers; a name is of one kind.
struct Counters {
  std::map<std::string, std::int64_t> sums;    ///< over time and over ranks
  std::map<std::string, std::int64_t> maxima;  ///< over time and over ranks: the most that one rank held
  std::map<std::string, double> seconds;       ///< the sum over time, the slowest rank's over ranks

  void add(const smc::SweepCounters& sweep);
  friend bool operator==(const Counters&, const Counters&) = default;
};

/// Counters of all ranks, which must have the same names. *Collective over comm*, one reduction for each
/// kind.
[[nodiscard]] Counters all_reduce(Counters mine, const comm::Communicator& comm);

}  // namespace twistor::app
