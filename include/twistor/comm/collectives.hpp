// SPDX-License-Identifier: Apache-2.0
// Typed collectives over spans, and reproducible reductions of weights.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "twistor/base/error.hpp"
#include "twistor/base/reproducible_sum.hpp"
#include "twistor/comm/communicator.hpp"

namespace twistor::comm {

namespace detail {

enum class Element { int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64 };
enum class Reduction { sum, max, min };

/// MPI counts are ints: longer buffers go in pieces of this many elements. Tests pass a small limit.
inline constexpr std::size_t max_count = std::numeric_limits<int>::max();

void all_reduce(void* data, std::size_t count, Element element, Reduction reduction, const Communicator& comm,
                std::size_t limit = max_count);
void broadcast(std::span<std::byte> data, int root, const Communicator& comm, std::size_t limit = max_count);
/// `counts` are bytes, one for each rank; `out` has room for all.
void all_gather_v(std::span<const std::byte> local, std::span<const std::int64_t> counts,
                  std::span<std::byte> out, const Communicator& comm, std::size_t limit = max_count);
/// `out` has each rank's part in its place, and this rank's is there.
void all_gather_in_place(std::span<const std::int64_t> counts, std::span<std::byte> out,
                         const Communicator& comm, std::size_t limit = max_count);
/// As above, but only `root` gives `out`.
void gather_v(std::span<const std::byte> local, std::span<const std::int64_t> counts,
              std::span<std::byte> out, int root, const Communicator& comm, std::size_t limit = max_count);
/// The number of elements that each rank gives. One collective of 8 bytes.
[[nodiscard]] std::vector<std::int64_t> gather_counts(std::size_t local, const Communicator& comm);

template <class T>
constexpr Element element_of() {
  static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>,
                "reductions take integers and floating-point numbers");
  if constexpr (std::is_same_v<T, float>)
    return Element::float32;
  else if constexpr (std::is_same_v<T, double>)
    return Element::float64;
  else {
    static_assert(std::is_integral_v<T>, "long double does not travel");
    constexpr int log_size = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3;
    return static_cast<Element>(log_size + (std::is_signed_v<T> ? 0 : 4));
  }
}

template <class T>
void refuse_nan(std::span<const T> data) {
  // The largest of NaN and 1 depends on who compares first.
  if constexpr (std::is_floating_point_v<T>) {
    for (const T x : data)
      TWISTOR_CHECK(!std::isnan(x), ErrorKind::internal, "comparing numbers of all ranks", "one is NaN");
  }
}

template <class T>
std::vector<std::int64_t> to_bytes(std::span<const std::int64_t> counts) {
  std::vector<std::int64_t> bytes(counts.begin(), counts.end());
  for (auto& count : bytes) count *= static_cast<std::int64_t>(sizeof(T));
  return bytes;
}

}  // namespace detail

/// Replaces every element by its sum over the ranks. Integers only. *Collective over comm*, one reduction.
template <class T>
void all_reduce_sum(std::span<T> data, const Communicator& comm) {
  static_assert(std::is_integral_v<T>,
                "a sum of floating-point numbers depends on the number of ranks; use LogSum, FixedPointSum "
                "or tree_all_reduce");
  detail::all_reduce(data.data(), data.size(), detail::element_of<T>(), detail::Reduction::sum, comm);
}

/// Replaces every element by its maximum over the ranks. Throws Error(internal) on NaN. *Collective over
/// comm.*
template <class T>
void all_reduce_max(std::span<T> data, const Communicator& comm) {
  detail::refuse_nan(std::span<const T>(data));
  detail::all_reduce(data.data(), data.size(), detail::element_of<T>(), detail::Reduction::max, comm);
}

/// Replaces every element by its minimum over the ranks. Throws Error(internal) on NaN. *Collective over
/// comm.*
template <class T>
void all_reduce_min(std::span<T> data, const Communicator& comm) {
  detail::refuse_nan(std::span<const T>(data));
  detail::all_reduce(data.data(), data.size(), detail::element_of<T>(), detail::Reduction::min, comm);
}

/// The same for one number.
template <class T>
[[nodiscard]] T all_reduce_sum(T value, const Communicator& comm) {
  all_reduce_sum(std::span<T>(&value, 1), comm);
  return value;
}
template <class T>
[[nodiscard]] T all_reduce_max(T value, const Communicator& comm) {
  all_reduce_max(std::span<T>(&value, 1), comm);
  return value;
}
template <class T>
[[nodiscard]] T all_reduce_min(T value, const Communicator& comm) {
  all_reduce_min(std::span<T>(&value, 1), comm);
  return value;
}

/// What all ranks give, in rank order; counts[r] elements come from rank r and every rank knows all counts.
/// *Collective over comm*, one collective. Throws Error(internal) if `local` has not counts[rank] elements.
template <class T>
[[nodiscard]] std::vector<std::remove_const_t<T>> all_gather_v(std::span<T> local,
                                                               std::span<const std::int64_t> counts,
                                                               const Communicator& comm) {
  static_assert(std::is_trivially_copyable_v<T>);
  std::vector<std::remove_const_t<T>> out(
      static_cast<std::size_t>(std::reduce(counts.begin(), counts.end())));
  detail::all_gather_v(std::as_bytes(local), detail::to_bytes<T>(counts),
                       std::as_writable_bytes(std::span(out)), comm);
  return out;
}

/// The same when the counts are not known: any number of elements from each rank. *Collective over comm*, two
/// collectives.
template <class T>
[[nodiscard]] std::vector<std::remove_const_t<T>> all_gather(std::span<T> local, const Communicator& comm) {
  return all_gather_v(local, detail::gather_counts(local.size(), comm), comm);
}

/// The same where `all` has this rank's elements in their place: it gets those of the others. *Collective
/// over comm*, one collective. Throws Error(internal) if `all` has not as many elements as the counts say.
template <class T>
void all_gather_in_place(std::span<T> all, std::span<const std::int64_t> counts, const Communicator& comm) {
  static_assert(std::is_trivially_copyable_v<T> && !std::is_const_v<T>);
  detail::all_gather_in_place(detail::to_bytes<T>(counts), std::as_writable_bytes(all), comm);
}

/// As all_gather_v, but only `root` receives; the others get an empty vector. *Collective over comm*, one
/// collective.
template <class T>
[[nodiscard]] std::vector<std::remove_const_t<T>> gather_v(std::span<T> local,
                                                           std::span<const std::int64_t> counts, int root,
                                                           const Communicator& comm) {
  static_assert(std::is_trivially_copyable_v<T>);
  std::vector<std::remove_const_t<T>> out;
  if (comm.rank() == root) out.resize(static_cast<std::size_t>(std::reduce(counts.begin(), counts.end())));
  detail::gather_v(std::as_bytes(local), detail::to_bytes<T>(counts), std::as_writable_bytes(std::span(out)),
                   root, comm);
  return out;
}

/// Copies root's elements to all; every rank gives a span of the same size. *Collective over comm.*
template <class T>
void broadcast(std::span<T> data, int root, const Communicator& comm) {
  static_assert(std::is_trivially_copyable_v<T> && !std::is_const_v<T>);
  detail::broadcast(std::as_writable_bytes(data), root, comm);
}

/// Root's value; what others give does not count. *Collective over comm.*
template <class T>
[[nodiscard]] T broadcast_value(T mine, const Communicator& comm, int root = 0) {
  broadcast(std::span(&mine, 1), root, comm);
  return mine;
}

/// The same when only root knows the size: its size, then its contents. *Collective over comm*, two
/// collectives.
void broadcast(std::string& text, int root, const Communicator& comm);
void broadcast(std::vector<std::byte>& bytes, int root, const Communicator& comm);
void broadcast(std::vector<double>& numbers, int root, const Communicator& comm);

/// The sum over the ranks before this one; 0 on rank 0. *Collective over comm.*
[[nodiscard]] std::int64_t exclusive_scan_sum(std::int64_t value, const Communicator& comm);

/// Order-free sums over all ranks: the same bits for every number of ranks and every shape of the reduction
/// tree. *Collective over comm*, one reduction (of 64 bytes for WeightSums).
[[nodiscard]] WeightSums all_reduce(const WeightSums& local, const Communicator& comm);
[[nodiscard]] LogSum all_reduce(const LogSum& local, const Communicator& comm);
void all_reduce(std::span<FixedPointSum> sums, const Communicator& comm);
void all_reduce(std::span<LogSum> sums, const Communicator& comm);
void all_reduce(std::span<WeightSums> sums, const Communicator& comm);

}  // namespace twistor::comm
