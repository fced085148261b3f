// SPDX-License-Identifier: Apache-2.0
// Typed collectives: MPI calls in pieces that its int counts can express, and MPI operators for the
// reproducible sums.
#include "twistor/comm/collectives.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "tags.hpp"
#include "twistor/comm/native.hpp"

namespace twistor::comm {
namespace {

MPI_Datatype native_type(detail::Element element) noexcept {
  using enum detail::Element;
  switch (element) {
    case int8:
      return MPI_INT8_T;
    case int16:
      return MPI_INT16_T;
    case int32:
      return MPI_INT32_T;
    case int64:
      return MPI_INT64_T;
    case uint8:
      return MPI_UINT8_T;
    case uint16:
      return MPI_UINT16_T;
    case uint32:
      return MPI_UINT32_T;
    case uint64:
      return MPI_UINT64_T;
    case float32:
      return MPI_FLOAT;
    case float64:
      return MPI_DOUBLE;
  }
  return MPI_DATATYPE_NULL;
}

MPI_Op native_op(detail::Reduction reduction) noexcept {
  if (reduction == detail::Reduction::sum) return MPI_SUM;
  return reduction == detail::Reduction::max ? MPI_MAX : MPI_MIN;
}

/// Calls piece(offset, count) over [0, n) in pieces of at most `limit`; at least once, so that n = 0 still
/// synchronises.
template <class F>
void in_pieces(std::size_t n, std::size_t limit, const F& piece) {
  std::size_t offset = 0;
  do {
    const std::size_t count = std::min(limit, n - offset);
    piece(offset, static_cast<int>(count));
    offset += count;
  } while (offset < n);
}

/// Start of every rank's part; the last element is the total.
std::vector<std::size_t> offsets_of(std::span<const std::int64_t> counts) {
  std::vector<std::size_t> offsets(counts.size() + 1, 0);
  for (std::size_t r = 0; r < counts.size(); ++r) {
    TWISTOR_ASSERT(counts[r] >= 0, "counts are not negative");
    offsets[r + 1] = offsets[r] + static_cast<std::size_t>(counts[r]);
  }
  return offsets;
}

void check_parts(std::span<const std::byte> local, std::span<const std::int64_t> counts,
                 std::size_t out_bytes, bool has_out, const Communicator& comm) {
  const auto n_ranks = static_cast<std::size_t>(comm.size()), rank = static_cast<std::size_t>(comm.rank());
  TWISTOR_ASSERT(
      counts.size() == n_ranks && local.size() == static_cast<std::size_t>(counts[rank]) &&
          (!has_out || out_bytes == offsets_of(counts).back()),
      fmt::format("a gather has one count a rank and this rank's count is its size (rank {} gives {} bytes)",
                  rank, local.size()));
}

struct IntParts {
  std::vector<int> counts, offsets;
  explicit IntParts(std::span<const std::int64_t> wide) {
    int offset = 0;
    for (const auto count : wide) {
      counts.push_back(static_cast<int>(count));
      offsets.push_back(offset);
      offset += static_cast<int>(count);
    }
  }
};

/// An MPI datatype and operator for a type that merges. Made once; MPI frees what is left at its end.
template <class T>
class Merging {
 public:
  static const Merging& get() {
    static const Merging instance;
    return instance;
  }

  void all_reduce(std::span<T> data, const Communicator& comm, const char* doing) const {
    in_pieces(data.size(), detail::max_count, [&](std::size_t offset, int count) {
      TWISTOR_MPI(MPI_Allreduce(MPI_IN_PLACE, data.data() + offset, count, type_, op_, native(comm)), doing);
    });
  }

 private:
  static_assert(std::is_trivially_copyable_v<T>);

  Merging() {
    TWISTOR_MPI(MPI_Type_contiguous(sizeof(T), MPI_BYTE, &type_), "making a reproducible reduction");
    TWISTOR_MPI(MPI_Type_commit(&type_), "making a reproducible reduction");
    TWISTOR_MPI(MPI_Op_create(&merge, 1, &op_), "making a reproducible reduction");
  }

  static void merge(void* in, void* in_out, int* count, MPI_Datatype*) {
    auto* from = static_cast<std::byte*>(in);
    auto* into = static_cast<std::byte*>(in_out);
    for (int i = 0; i < *count; ++i, from += sizeof(T), into += sizeof(T)) {
      T a, b;  // copies, because MPI promises no alignment
      std::memcpy(&a, from, sizeof(T));
      std::memcpy(&b, into, sizeof(T));
      b.merge(a);
      std::memcpy(into, &b, sizeof(T));
    }
  }

  MPI_Datatype type_ = MPI_DATATYPE_NULL;
  MPI_Op op_ = MPI_OP_NULL;
};

template <class Buffer>
void broadcast_sized(Buffer& data, int root, const Communicator& comm) {
  auto size = static_cast<std::uint64_t>(data.size());
  broadcast(std::span(&size, 1), root, comm);
  data.resize(size);
  detail::broadcast(std::as_writable_bytes(std::span(data)), root, comm);
}

}  // namespace

void detail::all_reduce(void* data, std::size_t count, Element element, Reduction reduction,
                        const Communicator& comm, std::size_t limit) {
  const MPI_Datatype type = native_type(element);
  int size = 0;
  TWISTOR_MPI(MPI_Type_size(type, &size), "reducing over ranks");
  in_pieces(count, limit, [&](std::size_t offset, int n) {
    void* part = static_cast<std::byte*>(data) + offset * static_cast<std::size_t>(size);
    TWISTOR_MPI(MPI_Allreduce(MPI_IN_PLACE, part, n, type, native_op(reduction), native(comm)),
                "reducing over ranks");
  });
}

void detail::broadcast(std::span<std::byte> data, int root, const Communicator& comm, std::size_t limit) {
  in_pieces(data.size(), limit, [&](std::size_t offset, int n) {
    TWISTOR_MPI(MPI_Bcast(data.data() + offset, n, MPI_BYTE, root, native(comm)),
                "broadcasting to all ranks");
  });
}

void detail::all_gather_v(std::span<const std::byte> local, std::span<const std::int64_t> counts,
                          std::span<std::byte> out, const Communicator& comm, std::size_t limit) {
  check_parts(local, counts, out.size(), true, comm);
  if (out.size() <= limit) {
    const IntParts parts(counts);
    TWISTOR_MPI(MPI_Allgatherv(local.data(), static_cast<int>(local.size()), MPI_BYTE, out.data(),
                               parts.counts.data(), parts.offsets.data(), MPI_BYTE, native(comm)),
                "gathering from all ranks");
    return;
  }
  const auto offset = offsets_of(counts)[static_cast<std::size_t>(comm.rank())];
  std::ranges::copy(local, out.begin() + static_cast<std::ptrdiff_t>(offset));
  all_gather_in_place(counts, out, comm, limit);
}

void detail::all_gather_in_place(std::span<const std::int64_t> counts, std::span<std::byte> out,
                                 const Communicator& comm, std::size_t limit) {
  const auto offsets = offsets_of(counts);
  TWISTOR_ASSERT(counts.size() == static_cast<std::size_t>(comm.size()) && out.size() == offsets.back(),
                 "a gather in place has one count a rank and room for all");
  if (out.size() <= limit) {
    const IntParts parts(counts);
    TWISTOR_MPI(MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_BYTE, out.data(), parts.counts.data(),
                               parts.offsets.data(), MPI_BYTE, native(comm)),
                "gathering from all ranks");
    return;
  }
  // The int offsets of MPI_Allgatherv do not reach that far.
  for (int r = 0; r < comm.size(); ++r) {
    const auto i = static_cast<std::size_t>(r);
    broadcast(out.subspan(offsets[i], offsets[i + 1] - offsets[i]), r, comm, limit);
  }
}

void detail::gather_v(std::span<const std::byte> local, std::span<const std::int64_t> counts,
                      std::span<std::byte> out, int root, const Communicator& comm, std::size_t limit) {
  constexpr const char* doing = "gathering on one rank";
  const bool is_root = comm.rank() == root;
  check_parts(local, counts, out.size(), is_root, comm);
  const auto offsets = offsets_of(counts);
  if (offsets.back() <= limit) {
    const IntParts parts(counts);
    TWISTOR_MPI(MPI_Gatherv(local.data(), static_cast<int>(local.size()), MPI_BYTE, out.data(),
                            parts.counts.data(), parts.offsets.data(), MPI_BYTE, root, native(comm)),
                doing);
    return;
  }
  if (!is_root) {
    in_pieces(local.size(), limit, [&](std::size_t offset, int n) {
      TWISTOR_MPI(MPI_Send(local.data() + offset, n, MPI_BYTE, root, tags::gather, native(comm)), doing);
    });
    return;
  }
  for (int r = 0; r < comm.size(); ++r) {
    const auto i = static_cast<std::size_t>(r);
    const auto part = out.subspan(offsets[i], offsets[i + 1] - offsets[i]);
    if (r == root) {
      std::ranges::copy(local, part.begin());
      continue;
    }
    in_pieces(part.size(), limit, [&](std::size_t offset, int n) {
      TWISTOR_MPI(
          MPI_Recv(part.data() + offset, n, MPI_BYTE, r, tags::gather, native(comm), MPI_STATUS_IGNORE),
          doing);
    });
  }
}

std::vector<std::int64_t> detail::gather_counts(std::size_t local, const Communicator& comm) {
  const auto mine = static_cast<std::int64_t>(local);
  std::vector<std::int64_t> counts(static_cast<std::size_t>(comm.size()));
  TWISTOR_MPI(MPI_Allgather(&mine, 1, MPI_INT64_T, counts.data(), 1, MPI_INT64_T, native(comm)),
              "gathering counts");
  return counts;
}

void broadcast(std::string& text, int root, const Communicator& comm) {
  broadcast_sized(text, root, comm);
}

void broadcast(std::vector<std::byte>& bytes, int root, const Communicator& comm) {
  broadcast_sized(bytes, root, comm);
}

void broadcast(std::vector<double>& numbers, int root, const Communicator& comm) {
  broadcast_sized(numbers, root, comm);
}

std::int64_t exclusive_scan_sum(std::int64_t value, const Communicator& comm) {
  std::int64_t before = 0;
  TWISTOR_MPI(MPI_Exscan(&value, &before, 1, MPI_INT64_T, MPI_SUM, native(comm)),
              "summing over the ranks before this one");
  return comm.rank() == 0 ? 0 : before;  // MPI leaves rank 0's result undefined
}

WeightSums all_reduce(const WeightSums& local, const Communicator& comm) {
  WeightSums sums = local;
  Merging<WeightSums>::get().all_reduce(std::span(&sums, 1), comm, "summing weights over ranks");
  return sums;
}

LogSum all_reduce(const LogSum& local, const Communicator& comm) {
  LogSum sum = local;
  Merging<LogSum>::get().all_reduce(std::span(&sum, 1), comm, "summing weights over ranks");
  return sum;
}

void all_reduce(std::span<LogSum> sums, const Communicator& comm) {
  Merging<LogSum>::get().all_reduce(sums, comm, "summing weights over ranks");
}

void all_reduce(std::span<WeightSums> sums, const Communicator& comm) {
  Merging<WeightSums>::get().all_reduce(sums, comm, "summing weights over ranks");
}

void all_reduce(std::span<FixedPointSum> sums, const Communicator& comm) {
  Merging<FixedPointSum>::get().all_reduce(sums, comm, "averaging over ranks");
}

}  // namespace twistor::comm
