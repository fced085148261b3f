// SPDX-License-Identifier: Apache-2.0
// Loading libnccl.
#include "nccl_library.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

namespace twistor::comm::nccl {
namespace {

constexpr const char* file = "libnccl.so.2";
constexpr int least_version = 2700;  // 2.7.0, the first that sends between two ranks

Library load() {
  Library out;
  void* const opened = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  if (opened == nullptr) {
    const char* const reason = dlerror();
    out.missing =
        fmt::format("{} cannot be loaded: {}", file, reason != nullptr ? reason : "no reason given");
    return out;
  }
  const auto find = [&]<class F>(F*& function, const char* name) {
    function = reinterpret_cast<F*>(dlsym(opened, name));
    if (function == nullptr && out.missing.empty()) out.missing = fmt::format("{} has no {}", file, name);
  };
  find(out.get_version, "ncclGetVersion");
  find(out.get_unique_id, "ncclGetUniqueId");
  find(out.comm_init_rank, "ncclCommInitRank");
  find(out.comm_destroy, "ncclCommDestroy");
  find(out.comm_abort, "ncclCommAbort");
  find(out.comm_get_async_error, "ncclCommGetAsyncError");
  find(out.get_error_string, "ncclGetErrorString");
  find(out.get_last_error, "ncclGetLastError");
  find(out.all_reduce, "ncclAllReduce");
  find(out.broadcast, "ncclBroadcast");
  find(out.all_gather, "ncclAllGather");
  find(out.send, "ncclSend");
  find(out.recv, "ncclRecv");
  find(out.group_start, "ncclGroupStart");
  find(out.group_end, "ncclGroupEnd");
  if (!out.missing.empty()) return out;
  if (out.get_version(&out.version) != Result::success || out.version < least_version)
    out.missing = fmt::format("{} is version {}, expected at least {}", file, out.version, least_version);
  return out;
}

}  // namespace

const Library& library() {
  static const Library loaded = load();
  return loaded;
}

}  // namespace twistor::comm::nccl
