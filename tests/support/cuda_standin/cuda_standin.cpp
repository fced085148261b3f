// SPDX-License-Identifier: Apache-2.0
// A libtorch_cuda.so that counts GPUs with a driver too old for them: what the program meets before its first
// GPU can be seen without one.
#include <ATen/detail/CUDAHooksInterface.h>

#include <stdexcept>

namespace at {
namespace {

class CUDAHooks final : public CUDAHooksInterface {  // the name is what LibTorch looks for
 public:
  explicit CUDAHooks(CUDAHooksArgs) {}
  bool hasCUDA() const override { return true; }
  int getNumGPUs() const override { throw std::runtime_error("the stand-in's driver is too old"); }
};

REGISTER_CUDA_HOOKS(CUDAHooks)

}  // namespace
}  // namespace at
