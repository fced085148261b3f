// SPDX-License-Identifier: Apache-2.0
// Reducing counters, each kind by its rule.
#include "twistor/comm/counters.hpp"

#include <map>
#include <span>
#include <string>
#include <vector>

#include "twistor/comm/collectives.hpp"

namespace twistor::comm {
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

Counters all_reduce(Counters mine, const Communicator& comm) {
  reduce_values(mine.sums, [&](auto values) { all_reduce_sum(values, comm); });
  reduce_values(mine.maxima, [&](auto values) { all_reduce_max(values, comm); });
  reduce_values(mine.seconds, [&](auto values) { all_reduce_max(values, comm); });
  return mine;
}

}  // namespace twistor::comm
