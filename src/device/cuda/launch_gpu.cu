// SPDX-License-Identifier: Apache-2.0
// The kernels on a GPU: on the default stream, which is ATen's too, or recorded as a graph.
#include <cuda_runtime.h>

#include <utility>

#include "kernels.cuh"
#include "product_gpu.hpp"
#include "twistor/device/traffic.hpp"

namespace twistor::device::cuda {
namespace {

constexpr std::int64_t shared_without_asking = 48 << 10;

/// Where launches go: nullptr, the default stream, but while they are recorded.
thread_local cudaStream_t current = nullptr;

class Graph final : public Recording {
 public:
  explicit Graph(cudaGraphExec_t exec) : exec_(exec) {}
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  ~Graph() override { cudaGraphExecDestroy(exec_); }
  void replay() const override {
    count_replay();
    cudaGraphLaunch(exec_, nullptr);
  }

 private:
  cudaGraphExec_t exec_;
};

/// The default stream cannot be recorded. Nothing ever runs on this one.
cudaStream_t recorded_stream() {
  static const cudaStream_t stream = [] {
    cudaStream_t made = nullptr;
    cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking);
    return made;
  }();
  return stream;
}

void begin_recording() {
  if (cudaStreamBeginCapture(recorded_stream(), cudaStreamCaptureModeThreadLocal) == cudaSuccess)
    current = recorded_stream();
}
std::shared_ptr<const Recording> end_recording() {
  if (std::exchange(current, nullptr) == nullptr) return nullptr;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  if (cudaStreamEndCapture(recorded_stream(), &graph) != cudaSuccess || graph == nullptr) return nullptr;
  const cudaError_t code = cudaGraphInstantiate(&exec, graph, 0);
  cudaGraphDestroy(graph);
  return code == cudaSuccess ? std::make_shared<const Graph>(exec) : nullptr;
}

void copy(const CopyTask& t) {
  count_launch();
  cudaMemcpy2DAsync(t.to, static_cast<std::size_t>(t.to_pitch), t.from,
                    static_cast<std::size_t>(t.from_pitch), static_cast<std::size_t>(t.row_bytes),
                    static_cast<std::size_t>(t.rows), cudaMemcpyDeviceToDevice, current);
}

bool product(const ProductTask& task) {
  count_launch();
  return gpu_product(task, current);
}

template <class Task>
void launch(void (*kernel)(Task), std::int64_t n_blocks, int n_threads, std::int64_t shared_bytes,
            const Task& task) {
  if (n_blocks == 0) return;
  count_launch();
  if (shared_bytes > shared_without_asking)
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes));
  kernel<<<static_cast<unsigned>(n_blocks), static_cast<unsigned>(n_threads),
           static_cast<std::size_t>(shared_bytes), current>>>(task);
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
  static constexpr Launchers table{embed,           add,           copy,       product,  norm, activate,
                                   store,           attend,        block_sums, row_sums, draw, adam,
                                   begin_recording, end_recording, last_error};
  return &table;
}

}  // namespace twistor::device::cuda
