// SPDX-License-Identifier: Apache-2.0
// The declarations that the back end calls NCCL by, against nccl.h. Compiled where that is.
#include <nccl.h>

#include <cstddef>
#include <type_traits>

#include "nccl_library.hpp"

namespace twistor::comm::nccl {
namespace {

template <class Ours, class Theirs>
constexpr bool same_argument =
    sizeof(Ours) == sizeof(Theirs) &&
    std::is_pointer_v<Ours> == std::is_pointer_v<Theirs>&& std::is_class_v<Ours> == std::is_class_v<Theirs> &&
    (std::is_enum_v<Ours> || std::is_integral_v<Ours>) ==
        (std::is_enum_v<Theirs> || std::is_integral_v<Theirs>);

template <class Ours, class Theirs>
constexpr bool same_call = false;
template <class R, class... A, class R2, class... A2>
constexpr bool same_call<R (*)(A...), R2 (*)(A2...)> = [] {
  if constexpr (sizeof...(A) != sizeof...(A2))
    return false;
  else
    return same_argument<R, R2> && (same_argument<A, A2> && ...);
}();

template <auto Member, class Theirs>
constexpr bool fits = same_call<std::remove_reference_t<decltype(Library{}.*Member)>, Theirs>;

static_assert(fits<&Library::get_version, decltype(&ncclGetVersion)>);
static_assert(fits<&Library::get_unique_id, decltype(&ncclGetUniqueId)>);
static_assert(fits<&Library::comm_init_rank, decltype(&ncclCommInitRank)>);
static_assert(fits<&Library::comm_destroy, decltype(&ncclCommDestroy)>);
static_assert(fits<&Library::comm_abort, decltype(&ncclCommAbort)>);
static_assert(fits<&Library::comm_get_async_error, decltype(&ncclCommGetAsyncError)>);
static_assert(fits<&Library::get_error_string, decltype(&ncclGetErrorString)>);
static_assert(fits<&Library::get_last_error, decltype(&ncclGetLastError)>);
static_assert(fits<&Library::all_reduce, decltype(&ncclAllReduce)>);
static_assert(fits<&Library::broadcast, decltype(&ncclBroadcast)>);
static_assert(fits<&Library::all_gather, decltype(&ncclAllGather)>);
static_assert(fits<&Library::send, decltype(&ncclSend)>);
static_assert(fits<&Library::recv, decltype(&ncclRecv)>);
static_assert(fits<&Library::group_start, decltype(&ncclGroupStart)>);
static_assert(fits<&Library::group_end, decltype(&ncclGroupEnd)>);
static_assert(!fits<&Library::send, decltype(&ncclGroupEnd)>, "the comparison can fail");
static_assert(!fits<&Library::recv, decltype(&ncclBroadcast)>, "the comparison can fail");

static_assert(sizeof(UniqueId) == sizeof(ncclUniqueId));
template <auto Ours, auto Theirs>
constexpr bool same_value = static_cast<int>(Ours) == static_cast<int>(Theirs);
static_assert(same_value<Result::success, ncclSuccess> && same_value<Result::system_error, ncclSystemError> &&
              same_value<Result::internal_error, ncclInternalError> &&
              same_value<Result::invalid_argument, ncclInvalidArgument> &&
              same_value<Result::invalid_usage, ncclInvalidUsage> &&
              same_value<Result::unhandled_cuda_error, ncclUnhandledCudaError> &&
              same_value<Result::remote_error, ncclRemoteError> &&
              same_value<Result::in_progress, ncclInProgress> && same_value<ReduceOp::sum, ncclSum>);
static_assert(same_value<DataType::int8, ncclInt8> && same_value<DataType::uint8, ncclUint8> &&
              same_value<DataType::int32, ncclInt32> && same_value<DataType::int64, ncclInt64> &&
              same_value<DataType::float16, ncclFloat16> && same_value<DataType::float32, ncclFloat32> &&
              same_value<DataType::float64, ncclFloat64> && same_value<DataType::bfloat16, ncclBfloat16>);

}  // namespace
}  // namespace twistor::comm::nccl
