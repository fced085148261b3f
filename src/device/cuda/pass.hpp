// SPDX-License-Identifier: Apache-2.0
// Passes of decoders by the kernels, and what the sources that give kernels their tensors share. Private to
// the device room.
#pragma once

#include <ATen/core/Tensor.h>

#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "tasks.hpp"
#include "twistor/device/engine.hpp"

namespace twistor::device::cuda {

/// What cannot be recorded, for people. Never leaves the room.
class NotRecordable final : public std::exception {
 public:
  explicit NotRecordable(std::string why) : why_(std::move(why)) {}
  [[nodiscard]] const char* what() const noexcept override { return why_.c_str(); }

 private:
  std::string why_;
};

/// Whether this thread records launches.
[[nodiscard]] bool is_recording();

struct KernelContext {
  AttentionShape shape;
  at::ScalarType operands;  ///< as products take them
  at::Device device;
  const Launchers& launchers;
};

/// nullptr where the kernel is not for such heads.
[[nodiscard]] std::unique_ptr<AttentionPass> begin_kernel_attention(const KernelContext& context,
                                                                    const KvRows& rows);

/// records: passes of one token for each of not too many sequences are padded to a few sizes, recorded the
/// second time they come, and replayed from then on.
[[nodiscard]] std::unique_ptr<PassRunner> make_kernel_runner(const Engine& engine,
                                                             const KernelContext& context,
                                                             const PassSizes& sizes, bool records);

/// Throws Error(internal) if a launch has failed.
void check(const Launchers& launchers);

[[nodiscard]] at::Tensor numbers(at::IntArrayRef sizes, at::ScalarType type, at::Device device);
[[nodiscard]] Output output(at::Tensor& out);
template <class T>
const T* optional(const at::Tensor& x) {
  return x.defined() ? x.const_data_ptr<T>() : nullptr;
}

}  // namespace twistor::device::cuda
