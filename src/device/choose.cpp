// SPDX-License-Identifier: Apache-2.0
// Choosing the engine, and loading LibTorch's CUDA part for it.
#include "twistor/device/choose.hpp"

#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <c10/util/Exception.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include <exception>
#include <string>
#include <typeinfo>

#include "twistor/base/error.hpp"
#include "twistor/device/aten_engine.hpp"
#include "twistor/device/kernel_engine.hpp"

namespace twistor::device {
namespace {

constexpr const char* doing = "choosing the device";
constexpr const char* use_cpu = "or set run.device = cpu";

/// The program is not linked with it, so that it starts where it is not.
void load_cuda() {
  static const bool is_loaded = dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) != nullptr;
  if (is_loaded) return;
  const char* const reason = dlerror();
  throw Error(ErrorKind::config, doing,
              fmt::format("run.device = cuda, but LibTorch's CUDA part cannot be loaded: {}",
                          reason != nullptr ? reason : "libtorch_cuda.so failed"),
              fmt::format("install what it needs with launch/setup.sh --cuda, {}", use_cpu));
}

class NoWarnings final : public c10::WarningHandler {
  void process(const c10::Warning&) override {}
};

int count_gpus() {
  try {
    return at::detail::getCUDAHooks().getNumGPUs();
  } catch (const std::exception& error) {
    throw Error(ErrorKind::config, doing,
                fmt::format("run.device = cuda, but the GPUs cannot be counted: {}", error.what()),
                fmt::format("look at nvidia-smi: the driver may be too old for this LibTorch, {}", use_cpu));
  }
}

/// The GPU of that number, counted round, with LibTorch set up for it.
at::Device open_gpu(int rank_on_node) {
  load_cuda();
  const at::CUDAHooksInterface& hooks = at::detail::getCUDAHooks();
  TWISTOR_ASSERT(typeid(hooks) != typeid(at::CUDAHooksInterface),
                 "nobody asks LibTorch for GPUs before its CUDA part was loaded: it looks for that once");
  const int n_gpus = at::hasCUDA() ? count_gpus() : 0;
  TWISTOR_CHECK(n_gpus > 0, ErrorKind::config, doing, "run.device = cuda, but this process sees no GPU",
                fmt::format("look at nvidia-smi and CUDA_VISIBLE_DEVICES, {}", use_cpu));
  // float32 means float32, and sums of bfloat16 products are not split over pieces of different precision,
  // which only cuBLASLt can do without. Users need not hear that LibTorch calls the choice experimental.
  at::globalContext().setAllowTF32CuBLAS(false);
  at::globalContext().setAllowTF32CuDNN(false);
  {
    NoWarnings handler;
    const c10::WarningUtils::WarningHandlerGuard quiet(&handler);
    at::globalContext().setBlasPreferredBackend(at::BlasBackend::Cublaslt);
  }
  at::globalContext().setAllowBF16ReductionCuBLAS(/*allow_reduced_precision=*/false, /*allow_splitk=*/false);
  const at::Device gpu(at::kCUDA, static_cast<at::DeviceIndex>(rank_on_node % n_gpus));
  c10::impl::getDeviceGuardImpl(at::kCUDA)->setDevice(gpu);  // launches go to the current one
  return gpu;
}

}  // namespace

std::shared_ptr<const Engine> make_engine(Place place, KernelChoice kernels, int rank_on_node,
                                          const EngineOptions& options) {
  if (place == Place::cpu)
    return kernels == KernelChoice::aten ? make_aten_engine(at::kCPU, options) : cpu_engine();
  if (place == Place::emulated) {
    TWISTOR_CHECK(
        kernels != KernelChoice::aten, ErrorKind::config, doing,
        "run.device = emulated is for twistor's own GPU kernels, and run.kernels = aten asks for none",
        "set run.kernels = auto");
    return make_kernel_engine(at::kCPU, options);
  }
  const at::Device gpu = open_gpu(rank_on_node);
  if (kernels == KernelChoice::aten) return make_aten_engine(gpu, options);
  auto own = make_kernel_engine(gpu, options);
  TWISTOR_CHECK(own != nullptr || kernels == KernelChoice::automatic, ErrorKind::config, doing,
                "run.kernels = own, but this build has no GPU kernels: there was no nvcc",
                "set run.kernels = auto or aten");
  return own != nullptr ? own : make_aten_engine(gpu, options);
}

}  // namespace twistor::device
