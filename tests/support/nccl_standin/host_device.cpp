// SPDX-License-Identifier: Apache-2.0
// Host memory in the place of a GPU: the seam of the NCCL back end and the tensors of its tests.
#include <ATen/ops/empty.h>

#include "cuda_device.hpp"
#include "gpu/device_tensors.hpp"

namespace twistor::comm::cuda {

c10::DeviceType device_type() noexcept {
  return c10::DeviceType::CPU;
}
int device_count() {
  return 64;
}
void use_device(int) {}
bool is_idle() {
  return true;
}

}  // namespace twistor::comm::cuda

namespace twistor::test {

at::Tensor on_device(const std::vector<double>& values, at::ScalarType type) {
  at::Tensor tensor = at::empty({static_cast<std::int64_t>(values.size())}, at::kDouble);
  std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<double>());
  return tensor.to(type);
}

std::vector<double> to_host(const at::Tensor& tensor) {
  const at::Tensor wide = tensor.to(at::kDouble).contiguous();
  return {wide.const_data_ptr<double>(), wide.const_data_ptr<double>() + wide.numel()};
}

int device_count() {
  return comm::cuda::device_count();
}

}  // namespace twistor::test
