// SPDX-License-Identifier: Apache-2.0
// GPU memory as tensors without libtorch_cuda: cudaMalloc and from_blob.
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <cuda_runtime.h>
#include <gmock/gmock.h>

#include <stdexcept>

#include "gpu/device_tensors.hpp"

namespace twistor::test {
namespace {

void check(cudaError_t code) {
  if (code != cudaSuccess) throw std::runtime_error(cudaGetErrorString(code));
}

}  // namespace

int device_count() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

at::Tensor on_device(const std::vector<double>& values, at::ScalarType type) {
  at::Tensor host = at::empty({static_cast<std::int64_t>(values.size())}, at::kDouble);
  std::copy(values.begin(), values.end(), host.mutable_data_ptr<double>());
  host = host.to(type);
  int device = 0;
  void* memory = nullptr;
  check(cudaGetDevice(&device));
  check(cudaMalloc(&memory, host.nbytes() + 1));
  check(cudaMemcpy(memory, host.const_data_ptr(), host.nbytes(), cudaMemcpyHostToDevice));
  const auto place = c10::Device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(device));
  return at::from_blob(
      memory, host.sizes(), [](void* pointer) { cudaFree(pointer); }, host.options().device(place), place);
}

std::vector<double> to_host(const at::Tensor& tensor) {
  at::Tensor host = at::empty(tensor.sizes(), at::TensorOptions(tensor.scalar_type()));
  check(
      cudaMemcpy(host.mutable_data_ptr(), tensor.const_data_ptr(), tensor.nbytes(), cudaMemcpyDeviceToHost));
  host = host.to(at::kDouble);
  return {host.const_data_ptr<double>(), host.const_data_ptr<double>() + host.numel()};
}

}  // namespace twistor::test
