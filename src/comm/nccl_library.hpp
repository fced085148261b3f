// SPDX-License-Identifier: Apache-2.0
// The part of NCCL that the back end calls, looked up when it is first wanted. Private to the comm room.
#pragma once

#include <cstddef>
#include <string>

/// Values and layouts are those of NCCL 2, declared from its documentation: so the program is built, and
/// starts, where there is no NCCL, and a test holds them against nccl.h where there is one.
namespace twistor::comm::nccl {

struct UniqueId {
  char internal[128];
};
using Handle = struct HandleTag*;  // ncclComm_t
using Stream = struct StreamTag*;  // cudaStream_t

enum class Result : int {
  success = 0,
  unhandled_cuda_error = 1,
  system_error = 2,
  internal_error = 3,
  invalid_argument = 4,
  invalid_usage = 5,
  remote_error = 6,
  in_progress = 7,
};
enum class ReduceOp : int { sum = 0 };
enum class DataType : int {
  int8 = 0,
  uint8 = 1,
  int32 = 2,
  int64 = 4,
  float16 = 6,
  float32 = 7,
  float64 = 8,
  bfloat16 = 9,
};

struct Library {
  Result (*get_version)(int* version) = nullptr;
  Result (*get_unique_id)(UniqueId* id) = nullptr;
  Result (*comm_init_rank)(Handle* made, int n_ranks, UniqueId id, int rank) = nullptr;
  Result (*comm_destroy)(Handle handle) = nullptr;
  Result (*comm_abort)(Handle handle) = nullptr;
  Result (*comm_get_async_error)(Handle handle, Result* state) = nullptr;
  const char* (*get_error_string)(Result code) = nullptr;
  const char* (*get_last_error)(Handle handle) = nullptr;
  Result (*all_reduce)(const void* in, void* out, std::size_t count, DataType type, ReduceOp op,
                       Handle handle, Stream stream) = nullptr;
  Result (*broadcast)(const void* in, void* out, std::size_t count, DataType type, int root, Handle handle,
                      Stream stream) = nullptr;
  Result (*all_gather)(const void* in, void* out, std::size_t count, DataType type, Handle handle,
                       Stream stream) = nullptr;
  Result (*send)(const void* in, std::size_t count, DataType type, int peer, Handle handle,
                 Stream stream) = nullptr;
  Result (*recv)(void* out, std::size_t count, DataType type, int peer, Handle handle,
                 Stream stream) = nullptr;
  Result (*group_start)() = nullptr;
  Result (*group_end)() = nullptr;

  std::string missing;  ///< why it cannot be used; empty: it can
  int version = 0;      ///< 22809 is 2.28.9
};

/// libnccl.so.2, which LibTorch's CUDA part has loaded already where it runs. *Local.*
[[nodiscard]] const Library& library();

}  // namespace twistor::comm::nccl
