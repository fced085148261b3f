// SPDX-License-Identifier: Apache-2.0
// The wrappers: each counts and calls the PMPI function of the same name.
#include "support/pmpi_count.hpp"

#include <mpi.h>

#include <algorithm>
#include <mutex>
#include <set>

namespace twistor::pmpi {
namespace {

struct Register {
  std::mutex mutex;
  std::map<std::string, CallCount> by_name;
};

Register& calls() {
  static Register instance;  // the wrappers below have no arguments of ours, so the counts live here
  return instance;
}

void note(const char* name, int count, MPI_Datatype type) {
  int size = 0;
  if (type != MPI_DATATYPE_NULL) PMPI_Type_size(type, &size);
  const std::int64_t bytes = static_cast<std::int64_t>(count) * size;
  const std::lock_guard lock(calls().mutex);
  CallCount& entry = calls().by_name[name];
  ++entry.calls;
  entry.bytes += bytes;
  entry.max_bytes = std::max(entry.max_bytes, bytes);
}

bool is_message(const std::string& name) {
  static const std::set<std::string> names = {"MPI_Send", "MPI_Ssend", "MPI_Isend", "MPI_Issend",
                                              "MPI_Sendrecv"};
  return names.contains(name);
}

}  // namespace

CallCount Counts::of(const std::string& name) const {
  const auto found = by_name.find(name);
  return found == by_name.end() ? CallCount{} : found->second;
}

std::int64_t Counts::collectives() const {
  std::int64_t n = 0;
  for (const auto& [name, count] : by_name) n += is_message(name) ? 0 : count.calls;
  return n;
}

std::int64_t Counts::messages() const {
  std::int64_t n = 0;
  for (const auto& [name, count] : by_name) n += is_message(name) ? count.calls : 0;
  return n;
}

std::int64_t Counts::bytes() const {
  std::int64_t n = 0;
  for (const auto& [name, count] : by_name) n += count.bytes;
  return n;
}

void reset() {
  const std::lock_guard lock(calls().mutex);
  calls().by_name.clear();
}

Counts read() {
  const std::lock_guard lock(calls().mutex);
  return {calls().by_name};
}

}  // namespace twistor::pmpi

// NAME with these PARAMETERS and ARGUMENTS gives COUNT elements of TYPE.
#define TWISTOR_COUNTED(NAME, PARAMETERS, ARGUMENTS, COUNT, TYPE) \
  int MPI_##NAME PARAMETERS {                                     \
    ::twistor::pmpi::note("MPI_" #NAME, COUNT, TYPE);             \
    return PMPI_##NAME ARGUMENTS;                                 \
  }
#define TWISTOR_COUNTED_SEND(NAME)                                                                    \
  TWISTOR_COUNTED(NAME, (const void* data, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm), \
                  (data, n, type, to, tag, comm), n, type)
#define TWISTOR_COUNTED_ISEND(NAME)                                                                         \
  TWISTOR_COUNTED(                                                                                          \
      NAME, (const void* data, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm, MPI_Request* out), \
      (data, n, type, to, tag, comm, out), n, type)
#define TWISTOR_COUNTED_SCAN(NAME)                                                                       \
  TWISTOR_COUNTED(NAME, (const void* in, void* out, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm), \
                  (in, out, n, type, op, comm), n, type)

extern "C" {

TWISTOR_COUNTED_SEND(Send)
TWISTOR_COUNTED_SEND(Ssend)
TWISTOR_COUNTED_ISEND(Isend)
TWISTOR_COUNTED_ISEND(Issend)
TWISTOR_COUNTED(Sendrecv,
                (const void* data, int n, MPI_Datatype type, int to, int tag, void* in, int n_in,
                 MPI_Datatype in_type, int from, int in_tag, MPI_Comm comm, MPI_Status* status),
                (data, n, type, to, tag, in, n_in, in_type, from, in_tag, comm, status), n, type)

TWISTOR_COUNTED_SCAN(Allreduce)
TWISTOR_COUNTED_SCAN(Scan)
TWISTOR_COUNTED_SCAN(Exscan)
TWISTOR_COUNTED(Iallreduce,
                (const void* in, void* out, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm,
                 MPI_Request* request),
                (in, out, n, type, op, comm, request), n, type)
TWISTOR_COUNTED(Reduce,
                (const void* in, void* out, int n, MPI_Datatype type, MPI_Op op, int root, MPI_Comm comm),
                (in, out, n, type, op, root, comm), n, type)
TWISTOR_COUNTED(Bcast, (void* data, int n, MPI_Datatype type, int root, MPI_Comm comm),
                (data, n, type, root, comm), n, type)
TWISTOR_COUNTED(Allgather,
                (const void* in, int n, MPI_Datatype type, void* out, int n_out, MPI_Datatype out_type,
                 MPI_Comm comm),
                (in, n, type, out, n_out, out_type, comm), n, type)
TWISTOR_COUNTED(Allgatherv,
                (const void* in, int n, MPI_Datatype type, void* out, const int counts[], const int offsets[],
                 MPI_Datatype out_type, MPI_Comm comm),
                (in, n, type, out, counts, offsets, out_type, comm), n, type)
TWISTOR_COUNTED(Gather,
                (const void* in, int n, MPI_Datatype type, void* out, int n_out, MPI_Datatype out_type,
                 int root, MPI_Comm comm),
                (in, n, type, out, n_out, out_type, root, comm), n, type)
TWISTOR_COUNTED(Gatherv,
                (const void* in, int n, MPI_Datatype type, void* out, const int counts[], const int offsets[],
                 MPI_Datatype out_type, int root, MPI_Comm comm),
                (in, n, type, out, counts, offsets, out_type, root, comm), n, type)
TWISTOR_COUNTED(Alltoall,
                (const void* in, int n, MPI_Datatype type, void* out, int n_out, MPI_Datatype out_type,
                 MPI_Comm comm),
                (in, n, type, out, n_out, out_type, comm), n, type)
TWISTOR_COUNTED(Barrier, (MPI_Comm comm), (comm), 0, MPI_DATATYPE_NULL)
TWISTOR_COUNTED(Ibarrier, (MPI_Comm comm, MPI_Request* request), (comm, request), 0, MPI_DATATYPE_NULL)
TWISTOR_COUNTED(Comm_dup, (MPI_Comm comm, MPI_Comm* made), (comm, made), 0, MPI_DATATYPE_NULL)
TWISTOR_COUNTED(Comm_split, (MPI_Comm comm, int color, int key, MPI_Comm* made), (comm, color, key, made), 0,
                MPI_DATATYPE_NULL)

}  // extern "C"
