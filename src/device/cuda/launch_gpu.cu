// SPDX-License-Identifier: Apache-2.0
// The kernels on a GPU: on the default stream, which is ATen's too.
#include <cuda_runtime.h>

#include "kernels.cuh"

namespace twistor::device::cuda {
namespace {

constexpr std::int64_t shared_without_asking = 48 << 10;

template <class Task>
void launch(void (*kernel)(Task), std::int64_t n_blocks, int n_threads, std::int64_t shared_bytes,
            const Task& task) {
  if (n_blocks == 0) return;
  if (shared_bytes > shared_without_asking)
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes));
  kernel<<<static_cast<unsigned>(n_blocks), static_cast<unsigned>(n_threads),
           static_cast<std::size_t>(shared_bytes)>>>(task);
}

#define TWISTOR_LAUNCH(kernel, n_blocks, n_threads, shared_bytes, task) \
  launch(&kernel, n_blocks, n_threads, shared_bytes, task)
#include "launchers.inc"
#undef TWISTOR_LAUNCH

const char* last_error() {
  const cudaError_t code = cudaGetLastError();
  return code == cudaSuccess ? nullptr : cudaGetErrorString(code);
}

}  // namespace

const Launchers* gpu_launchers() {
  static constexpr Launchers table{norm, activate, store, attend, block_sums, row_sums, draw, last_error};
  return &table;
}

}  // namespace twistor::device::cuda
