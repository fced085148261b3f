// SPDX-License-Identifier: Apache-2.0
// A libnccl.so.2 that carries the calls over MPI between buffers in host memory, and is strict about their
// order.
#include "nccl_standin.hpp"

#include <mpi.h>
#include <nccl.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

struct ncclComm {
  MPI_Comm comm = MPI_COMM_NULL;
  int size = 0;
};

namespace {

constexpr int bootstrap_tag = 4001, message_tag = 4002;

struct Message {
  bool is_send;
  void* data;
  int bytes, peer;
  ncclComm_t comm;
};

/// All state of the library; C functions have nowhere else to keep it.
struct State {
  std::string log, last_error, failing_function;
  ncclResult_t failure = ncclSuccess, async = ncclSuccess;
  int group_depth = 0, n_ids = 0;
  std::vector<Message> group;
};

State& state() {
  static State instance;
  return instance;
}

ncclResult_t refuse(ncclResult_t code, const std::string& why) {
  state().last_error = why;
  return code;
}

/// Notes a call; not ncclSuccess if it was told to fail.
ncclResult_t enter(const std::string& function, const std::string& details = {}) {
  state().log += function + (details.empty() ? "" : " " + details) + "\n";
  if (state().failing_function != function) return ncclSuccess;
  state().failing_function.clear();
  return refuse(state().failure, "told to fail");
}

struct TypeInfo {
  const char* name;
  MPI_Datatype type;
  int bytes;
};

TypeInfo info(ncclDataType_t type) {
  switch (type) {
    case ncclInt8:
      return {"int8", MPI_INT8_T, 1};
    case ncclUint8:
      return {"uint8", MPI_UINT8_T, 1};
    case ncclInt32:
      return {"int32", MPI_INT32_T, 4};
    case ncclInt64:
      return {"int64", MPI_INT64_T, 8};
    case ncclFloat32:
      return {"float32", MPI_FLOAT, 4};
    case ncclFloat64:
      return {"float64", MPI_DOUBLE, 8};
    case ncclFloat16:
      return {"float16", MPI_DATATYPE_NULL, 2};
    case ncclBfloat16:
      return {"bfloat16", MPI_DATATYPE_NULL, 2};
    default:
      return {"unknown", MPI_DATATYPE_NULL, 0};
  }
}

std::string describe(std::size_t count, ncclDataType_t type) {
  return std::to_string(count) + " " + info(type).name;
}

ncclResult_t from_mpi(int code) {
  return code == MPI_SUCCESS ? ncclSuccess : refuse(ncclSystemError, "MPI failed");
}

/// What is wrong with any operation, if something is.
ncclResult_t check(const void* buffer, std::size_t count, ncclDataType_t type, int peer, ncclComm_t comm) {
  if (comm == nullptr || comm->comm == MPI_COMM_NULL) return refuse(ncclInvalidArgument, "no communicator");
  if (info(type).bytes == 0 || (buffer == nullptr && count > 0))
    return refuse(ncclInvalidArgument, "bad type or buffer");
  if (peer < 0 || peer >= comm->size) return refuse(ncclInvalidArgument, "peer out of range");
  return ncclSuccess;
}

/// As check, and collectives do not go into the groups that this library runs.
ncclResult_t check_collective(const void* buffer, std::size_t count, ncclDataType_t type, int root,
                              ncclComm_t comm) {
  if (state().group_depth > 0) return refuse(ncclInvalidUsage, "a collective in a group of messages");
  return check(buffer, count, type, root, comm);
}

/// Starts receives before sends, so that nothing waits in a circle: the promise of a group.
ncclResult_t run(std::vector<Message> messages) {
  std::stable_partition(messages.begin(), messages.end(),
                        [](const Message& message) { return !message.is_send; });
  std::vector<MPI_Request> requests;
  for (const Message& m : messages) {
    auto& request = requests.emplace_back(MPI_REQUEST_NULL);
    const int code = m.is_send
                         ? MPI_Isend(m.data, m.bytes, MPI_BYTE, m.peer, message_tag, m.comm->comm, &request)
                         : MPI_Irecv(m.data, m.bytes, MPI_BYTE, m.peer, message_tag, m.comm->comm, &request);
    if (code != MPI_SUCCESS) return from_mpi(code);
  }
  return from_mpi(MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE));
}

ncclResult_t message(bool is_send, void* data, std::size_t count, ncclDataType_t type, int peer,
                     ncclComm_t comm) {
  if (const auto code = check(data, count, type, peer, comm); code != ncclSuccess) return code;
  const Message one{is_send, data, static_cast<int>(count) * info(type).bytes, peer, comm};
  if (state().group_depth == 0) return run({one});
  state().group.push_back(one);
  return ncclSuccess;
}

/// Rank 0 learns everybody's place in the world and tells all; then the members, and only they, make a
/// communicator.
int gather_members(int root_in_world, int n_ranks, int rank, std::vector<int>& members) {
  int world_rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &world_rank);
  members.assign(static_cast<std::size_t>(n_ranks), world_rank);
  if (rank != 0) {
    const int mine[2] = {rank, world_rank};
    const int code = MPI_Send(mine, 2, MPI_INT, root_in_world, bootstrap_tag, MPI_COMM_WORLD);
    if (code != MPI_SUCCESS) return code;
    return MPI_Recv(members.data(), n_ranks, MPI_INT, root_in_world, bootstrap_tag, MPI_COMM_WORLD,
                    MPI_STATUS_IGNORE);
  }
  for (int i = 1; i < n_ranks; ++i) {
    int other[2] = {};
    const int code =
        MPI_Recv(other, 2, MPI_INT, MPI_ANY_SOURCE, bootstrap_tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    if (code != MPI_SUCCESS) return code;
    members[static_cast<std::size_t>(other[0])] = other[1];
  }
  for (int i = 1; i < n_ranks; ++i) {
    const int to = members[static_cast<std::size_t>(i)];
    const int code = MPI_Send(members.data(), n_ranks, MPI_INT, to, bootstrap_tag, MPI_COMM_WORLD);
    if (code != MPI_SUCCESS) return code;
  }
  return MPI_SUCCESS;
}

}  // namespace

extern "C" {

const char* nccl_standin_log() {
  return state().log.c_str();
}

void nccl_standin_reset() {
  state() = {};
}

void nccl_standin_fail(const char* function, int code) {
  if (std::strcmp(function, "async") == 0) {
    state().async = static_cast<ncclResult_t>(code);
    return;
  }
  state().failing_function = function;
  state().failure = static_cast<ncclResult_t>(code);
}

ncclResult_t ncclGetVersion(int* version) {
  *version = 29999;
  return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  if (const auto code = enter("ncclGetUniqueId"); code != ncclSuccess) return code;
  int world_rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &world_rank);
  const int contents[2] = {world_rank, ++state().n_ids};
  std::memset(id, 0, sizeof *id);
  std::memcpy(id->internal, contents, sizeof contents);
  return ncclSuccess;
}

ncclResult_t ncclCommInitRank(ncclComm_t* comm, int n_ranks, ncclUniqueId id, int rank) {
  if (const auto code = enter("ncclCommInitRank", std::to_string(n_ranks) + " " + std::to_string(rank));
      code != ncclSuccess) {
    return code;
  }
  int contents[2] = {};
  std::memcpy(contents, id.internal, sizeof contents);
  if (contents[1] == 0) return refuse(ncclInvalidArgument, "an id that nobody gave out");
  std::vector<int> members;
  if (const int code = gather_members(contents[0], n_ranks, rank, members); code != MPI_SUCCESS)
    return from_mpi(code);
  MPI_Group world = MPI_GROUP_NULL, group = MPI_GROUP_NULL;
  MPI_Comm_group(MPI_COMM_WORLD, &world);
  MPI_Group_incl(world, n_ranks, members.data(), &group);
  auto made = new ncclComm{MPI_COMM_NULL, n_ranks};
  const int code = MPI_Comm_create_group(MPI_COMM_WORLD, group, contents[1], &made->comm);
  MPI_Group_free(&group);
  MPI_Group_free(&world);
  *comm = made;
  return from_mpi(code);
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  if (const auto code = enter("ncclCommDestroy"); code != ncclSuccess) return code;
  const int code = MPI_Comm_free(&comm->comm);
  delete comm;
  return from_mpi(code);
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  if (const auto code = enter("ncclCommAbort"); code != ncclSuccess) return code;
  delete comm;  // freeing the MPI communicator would be collective
  return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* result) {
  if (comm == nullptr) return refuse(ncclInvalidArgument, "no communicator");
  *result = state().async;
  return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t code) {
  return code == ncclRemoteError ? "remote process exited or there was a network error"
                                 : "failure in the stand-in";
}

const char* ncclGetLastError(ncclComm_t) {
  return state().last_error.c_str();
}

ncclResult_t ncclAllReduce(const void* in, void* out, std::size_t count, ncclDataType_t type, ncclRedOp_t op,
                           ncclComm_t comm, cudaStream_t) {
  if (const auto code = enter("ncclAllReduce", describe(count, type)); code != ncclSuccess) return code;
  if (const auto code = check_collective(in, count, type, 0, comm); code != ncclSuccess) return code;
  if (op != ncclSum || info(type).type == MPI_DATATYPE_NULL)
    return refuse(ncclInvalidArgument, "the stand-in cannot add these");
  const void* from = in == out ? MPI_IN_PLACE : in;
  return from_mpi(MPI_Allreduce(from, out, static_cast<int>(count), info(type).type, MPI_SUM, comm->comm));
}

ncclResult_t ncclBroadcast(const void* in, void* out, std::size_t count, ncclDataType_t type, int root,
                           ncclComm_t comm, cudaStream_t) {
  if (const auto code = enter("ncclBroadcast", describe(count, type) + " from " + std::to_string(root));
      code != ncclSuccess) {
    return code;
  }
  if (const auto code = check_collective(in, count, type, root, comm); code != ncclSuccess) return code;
  const auto bytes = static_cast<int>(count) * info(type).bytes;
  if (in != out) std::memmove(out, in, static_cast<std::size_t>(bytes));
  return from_mpi(MPI_Bcast(out, bytes, MPI_BYTE, root, comm->comm));
}

ncclResult_t ncclAllGather(const void* in, void* out, std::size_t count, ncclDataType_t type, ncclComm_t comm,
                           cudaStream_t) {
  if (const auto code = enter("ncclAllGather", describe(count, type)); code != ncclSuccess) return code;
  if (const auto code = check_collective(in, count, type, 0, comm); code != ncclSuccess) return code;
  const auto bytes = static_cast<int>(count) * info(type).bytes;
  return from_mpi(MPI_Allgather(in, bytes, MPI_BYTE, out, bytes, MPI_BYTE, comm->comm));
}

ncclResult_t ncclSend(const void* in, std::size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t) {
  if (const auto code = enter("ncclSend", describe(count, type) + " to " + std::to_string(peer));
      code != ncclSuccess)
    return code;
  return message(true, const_cast<void*>(in), count, type, peer, comm);
}

ncclResult_t ncclRecv(void* out, std::size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t) {
  if (const auto code = enter("ncclRecv", describe(count, type) + " from " + std::to_string(peer));
      code != ncclSuccess) {
    return code;
  }
  return message(false, out, count, type, peer, comm);
}

ncclResult_t ncclGroupStart() {
  if (const auto code = enter("ncclGroupStart"); code != ncclSuccess) return code;
  ++state().group_depth;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  if (const auto code = enter("ncclGroupEnd"); code != ncclSuccess) return code;
  if (state().group_depth == 0) return refuse(ncclInvalidUsage, "the end of a group that was not started");
  if (--state().group_depth > 0) return ncclSuccess;
  return run(std::exchange(state().group, {}));
}

}  // extern "C"
