// SPDX-License-Identifier: Apache-2.0
// The CUDA runtime calls of the NCCL back end.
#include "cuda_device.hpp"

#include <cuda_runtime.h>
#include <fmt/format.h>

#include "twistor/base/error.hpp"

namespace twistor::comm::cuda {
namespace {

void check(cudaError_t code, const char* function, const char* doing) {
  TWISTOR_CHECK(code == cudaSuccess, ErrorKind::peer, doing,
                fmt::format("{} failed: {} ({})", function, cudaGetErrorString(code), cudaGetErrorName(code)),
                "look at nvidia-smi and dmesg for a lost or full GPU");
}

/// Every CUDA call goes through this.
#define TWISTOR_CUDA_CALL(function, doing, ...) check(function(__VA_ARGS__), #function, doing)

}  // namespace

c10::DeviceType device_type() noexcept {
  return c10::DeviceType::CUDA;
}

int device_count() {
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  if (code == cudaErrorNoDevice || code == cudaErrorInsufficientDriver) return 0;
  check(code, "cudaGetDeviceCount", "counting GPUs");
  return count;
}

void use_device(int index) {
  TWISTOR_CUDA_CALL(cudaSetDevice, "choosing a GPU", index);
}

bool is_idle() {
  const cudaError_t code = cudaStreamQuery(nullptr);
  if (code == cudaErrorNotReady) return false;
  check(code, "cudaStreamQuery", "waiting for the GPU");
  return true;
}

}  // namespace twistor::comm::cuda
