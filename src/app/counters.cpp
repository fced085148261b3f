// Counters over time and over ranks.
#include "twistor/app/counters.hpp"

#include <algorithm>
#include <span>
#include <vector>

#include "twistor/comm/collectives.hpp"

namespace twistor::app {
namespace {

/// Calls reduce on the values of one kind side by side, in the order of their names.
template <class Value, class Reduce>
void reduce_values(std::map<std::string, Value>& kind, Reduce reduce) {
  std::vector<Value> values;
  for (const auto& [name, value] : kind) values.push_back(value);
  reduce(std::span<Value>(values));
  auto from = values.begin();
  for (auto& [name, value] : kind) value = *from++;
}

}  // namespace

void Counters::add(const smc::SweepCounters& s) {
  sums["token_forwards"] += s.token_forwards;
  sums["rows_scored"] += s.rows_scored;
  sums["resamplings"] += s.resamplings;
  sums["moved_copies"] += s.moved_copies;
  sums["sent_messages"] += s.sent_messages;
  sums["sent_bytes"] += s.sent_bytes;
  const auto raise = [&](const char* name, std::int64_t value) {
    maxima[name] = std::max(maxima[name], value);
  };
  raise("live_blocks_peak", s.peak_live_blocks);
  raise("dense_blocks_peak", s.dense_blocks);
  seconds["forward_s"] += s.forward_s;
  seconds["heads_s"] += s.heads_s;
  seconds["resample_s"] += s.resample_s;
  seconds["potential_s"] += s.potential_s;
}

Counters all_reduce(Counters mine, const comm::Communicator& comm) {
  reduce_values(mine.sums, [&](auto values) { comm::all_reduce_sum(values, comm); });
  reduce_values(mine.maxima, [&](auto values) { comm::all_reduce_max(values, comm); });
  reduce_values(mine.seconds, [&](auto values) { comm::all_reduce_max(values, comm); });
  return mine;
}

}  // namespace twistor::app
