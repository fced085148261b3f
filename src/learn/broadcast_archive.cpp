// SPDX-License-Identifier: Apache-2.0
// Archives from the first rank to all: names and small parts by broadcasts, large ones through shared memory.
#include "twistor/learn/broadcast_archive.hpp"

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>
#include <variant>
#include <vector>

#include "twistor/comm/collectives.hpp"

namespace twistor::learn {
namespace {

void send(std::string& text, const comm::Communicator& world) {
  comm::broadcast(text, 0, world);
}
template <class T>
void send(T& number, const comm::Communicator& world) {
  number = comm::broadcast_value(number, world);
}
template <class T>
void send(std::vector<T>& values, const comm::Communicator& world) {
  values.resize(comm::broadcast_value(values.size(), world));
  comm::broadcast(std::span(values), 0, world);
}
template <class T>
void send(Array<T>& array, const comm::Communicator& world) {
  send(array.shape, world);
  send(array.values, world);
}
/// The same alternative everywhere, then what it holds.
template <class... Types>
void send(std::variant<Types...>& value, const comm::Communicator& world) {
  std::size_t wanted = value.index();
  send(wanted, world);
  std::size_t index = 0;
  ((index++ == wanted && value.index() != wanted ? void(value.template emplace<Types>()) : void()), ...);
  std::visit([&](auto& held) { send(held, world); }, value);
}
template <class Value>
void send(std::map<std::string, Value>& parts, const comm::Communicator& world) {
  std::vector<std::string> names;
  for (const auto& [name, part] : parts) names.push_back(name);
  names.resize(comm::broadcast_value(names.size(), world));
  for (std::string& name : names) {
    send(name, world);
    send(parts[name], world);
  }
}

std::size_t n_values(const Array<float>& array) {
  return static_cast<std::size_t>(
      std::accumulate(array.shape.begin(), array.shape.end(), std::int64_t{1}, std::multiplies<>()));
}

}  // namespace

LargeArrays broadcast_archive(store::Archive& archive, std::size_t large_from,
                              const comm::Communicator& world) {
  std::map<std::string, std::vector<float>> taken;  // on the first rank
  const auto for_large = [&](const auto& body) {
    for (auto& [name, dataset] : archive.datasets)
      if (auto* array = std::get_if<Array<float>>(&dataset);
          array != nullptr && n_values(*array) >= large_from)
        body(name, *array);
  };
  for_large(
      [&](const std::string& name, Array<float>& array) { taken[name] = std::exchange(array.values, {}); });
  for (std::string* const text : {&archive.kind, &archive.created_by, &archive.origin}) send(*text, world);
  send(archive.attributes, world);
  send(archive.datasets, world);

  LargeArrays out;
  std::size_t total = 0;
  for_large([&](const std::string&, const Array<float>& array) { total += n_values(array); });
  if (total == 0) return out;
  out.shared = comm::NodeMemory::if_room(world.node(), total * sizeof(float));
  const bool is_shared = comm::all_reduce_min(out.shared.has_value() ? 1 : 0, world) == 1;
  if (!is_shared) {
    out.shared.reset();
    out.own.resize(total);
  }
  const std::span<float> all =
      is_shared ? std::span(reinterpret_cast<float*>(out.shared->bytes().data()), total) : out.own;
  std::size_t begin = 0;
  for_large([&](const std::string& name, const Array<float>& array) {
    const std::span<float> place = all.subspan(begin, n_values(array));
    if (world.rank() == 0) std::ranges::copy(std::exchange(taken[name], {}), place.begin());
    out.values[name] = place;
    begin += place.size();
  });
  if (is_shared) {
    out.shared->publish_from_first(world);
  } else {
    comm::broadcast(all, 0, world);
  }
  return out;
}

}  // namespace twistor::learn
