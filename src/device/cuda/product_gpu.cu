// SPDX-License-Identifier: Apache-2.0
// LibTorch brings the library along; it is found at run time, so that the program starts without it.
#include "product_gpu.hpp"

#if __has_include(<cublasLt.h>)
#include <cublasLt.h>
#include <dlfcn.h>

#include <map>
#include <mutex>
#include <tuple>

namespace twistor::device::cuda {
namespace {

constexpr std::size_t workspace_bytes = std::size_t{32} << 20;
constexpr std::uint32_t aligned_bytes = 16;

template <class F>
F* find(const char* name) {
  return reinterpret_cast<F*>(dlsym(RTLD_DEFAULT, name));
}

/// An algorithm for one size and kind of product, chosen once.
struct Plan {
  cublasLtMatmulDesc_t product = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, c = nullptr;
  cublasLtMatmulAlgo_t algorithm{};
  bool is_there = false;
};

class Library {
 public:
  Library() {
    if (create == nullptr || matmul == nullptr || heuristic == nullptr || make_product == nullptr ||
        set_product == nullptr || make_layout == nullptr || make_preference == nullptr ||
        set_preference == nullptr)
      return;
    is_there_ =
        create(&handle_) == CUBLAS_STATUS_SUCCESS && cudaMalloc(&workspace_, workspace_bytes) == cudaSuccess;
  }

  bool multiply(const ProductTask& t, cudaStream_t stream) {
    for (const void* const address : {t.x, t.w, static_cast<const void*>(t.y)})
      if (reinterpret_cast<std::uintptr_t>(address) % aligned_bytes != 0) return false;
    if (!is_there_) return false;
    if (t.n == 0 || t.columns == 0) return true;
    const std::lock_guard lock(mutex_);
    const Plan& plan = plan_for(t);
    if (!plan.is_there) return false;
    if (t.bias != nullptr)
      set_product(plan.product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &t.bias, sizeof t.bias);
    const float one = 1, beta = t.accumulate ? 1 : 0;
    return matmul(handle_, plan.product, &one, t.w, plan.a, t.x, plan.b, &beta, t.y, plan.c, t.y, plan.c,
                  &plan.algorithm, workspace_, workspace_bytes, stream) == CUBLAS_STATUS_SUCCESS;
  }

 private:
  using Key = std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t, bool, bool, bool>;

  const Plan& plan_for(const ProductTask& t) {
    const Key key{t.n, t.columns, t.k, t.ldy, t.is_bfloat16, t.bias != nullptr, t.accumulate};
    const auto found = plans_.find(key);
    return found != plans_.end() ? found->second : plans_.emplace(key, choose(t)).first->second;
  }

  /// By columns, as the library counts: y^T = W x^T.
  Plan choose(const ProductTask& t) const {
    Plan plan;
    const cudaDataType_t type = t.is_bfloat16 ? CUDA_R_16BF : CUDA_R_32F;
    const cublasOperation_t turned = CUBLAS_OP_T;
    const cublasLtEpilogue_t with_bias = CUBLASLT_EPILOGUE_BIAS;
    const auto n = static_cast<std::uint64_t>(t.n), columns = static_cast<std::uint64_t>(t.columns),
               k = static_cast<std::uint64_t>(t.k);
    if (make_product(&plan.product, CUBLAS_COMPUTE_32F, CUDA_R_32F) != CUBLAS_STATUS_SUCCESS ||
        make_layout(&plan.a, type, k, columns, t.k) != CUBLAS_STATUS_SUCCESS ||
        make_layout(&plan.b, type, k, n, t.k) != CUBLAS_STATUS_SUCCESS ||
        make_layout(&plan.c, CUDA_R_32F, columns, n, t.ldy) != CUBLAS_STATUS_SUCCESS)
      return plan;
    set_product(plan.product, CUBLASLT_MATMUL_DESC_TRANSA, &turned, sizeof turned);
    if (t.bias != nullptr) {
      set_product(plan.product, CUBLASLT_MATMUL_DESC_EPILOGUE, &with_bias, sizeof with_bias);
      set_product(plan.product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &t.bias, sizeof t.bias);
    }
    cublasLtMatmulPreference_t preference = nullptr;
    if (make_preference(&preference) != CUBLAS_STATUS_SUCCESS) return plan;
    set_preference(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace_bytes,
                   sizeof workspace_bytes);
    // Sums may be cut along k, but their parts stay float32 and are added in order.
    const std::uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    set_preference(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &schemes, sizeof schemes);
    for (const auto attribute :
         {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
          CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
      set_preference(preference, attribute, &aligned_bytes, sizeof aligned_bytes);
    cublasLtMatmulHeuristicResult_t result{};
    int n_found = 0;
    plan.is_there = heuristic(handle_, plan.product, plan.a, plan.b, plan.c, plan.c, preference, 1, &result,
                              &n_found) == CUBLAS_STATUS_SUCCESS &&
                    n_found == 1;
    plan.algorithm = result.algo;
    if (drop_preference != nullptr) drop_preference(preference);
    return plan;
  }

  decltype(cublasLtCreate)* create = find<decltype(cublasLtCreate)>("cublasLtCreate");
  decltype(cublasLtMatmul)* matmul = find<decltype(cublasLtMatmul)>("cublasLtMatmul");
  decltype(cublasLtMatmulAlgoGetHeuristic)* heuristic =
      find<decltype(cublasLtMatmulAlgoGetHeuristic)>("cublasLtMatmulAlgoGetHeuristic");
  decltype(cublasLtMatmulDescCreate)* make_product =
      find<decltype(cublasLtMatmulDescCreate)>("cublasLtMatmulDescCreate");
  decltype(cublasLtMatmulDescSetAttribute)* set_product =
      find<decltype(cublasLtMatmulDescSetAttribute)>("cublasLtMatmulDescSetAttribute");
  decltype(cublasLtMatrixLayoutCreate)* make_layout =
      find<decltype(cublasLtMatrixLayoutCreate)>("cublasLtMatrixLayoutCreate");
  decltype(cublasLtMatmulPreferenceCreate)* make_preference =
      find<decltype(cublasLtMatmulPreferenceCreate)>("cublasLtMatmulPreferenceCreate");
  decltype(cublasLtMatmulPreferenceSetAttribute)* set_preference =
      find<decltype(cublasLtMatmulPreferenceSetAttribute)>("cublasLtMatmulPreferenceSetAttribute");
  decltype(cublasLtMatmulPreferenceDestroy)* drop_preference =
      find<decltype(cublasLtMatmulPreferenceDestroy)>("cublasLtMatmulPreferenceDestroy");

  cublasLtHandle_t handle_ = nullptr;
  void* workspace_ = nullptr;
  bool is_there_ = false;
  std::mutex mutex_;
  std::map<Key, Plan> plans_;
};

}  // namespace

bool gpu_product(const ProductTask& task, cudaStream_t stream) {
  static Library library;
  return library.multiply(task, stream);
}

}  // namespace twistor::device::cuda

#else

namespace twistor::device::cuda {

bool gpu_product(const ProductTask&, cudaStream_t) {
  return false;
}

}  // namespace twistor::device::cuda

#endif
