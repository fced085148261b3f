// SPDX-License-Identifier: Apache-2.0
// Numbers that one process or several hold, or a device.
#include "twistor/twist/values.hpp"

#include <algorithm>

#include "twistor/base/error.hpp"
#include "twistor/device/engine.hpp"
#include "twistor/device/traffic.hpp"

namespace twistor::twist {
namespace {

at::Tensor view_of(std::span<float> values) {
  return device::view_of(values, {static_cast<std::int64_t>(values.size())});
}

}  // namespace

Values::Values(std::shared_ptr<CommonMemory> memory, std::size_t begin, std::size_t end)
    : memory_(std::move(memory)) {
  const std::span<std::byte> bytes = memory_->bytes();
  all_ = {reinterpret_cast<float*>(bytes.data()), bytes.size() / sizeof(float)};
  TWISTOR_ASSERT(begin <= end && end <= all_.size(), "a part of values lies within them");
  part_ = all_.subspan(begin, end - begin);
}

bool operator==(const Values& a, const Values& b) {
  return std::ranges::equal(a, b);
}

const at::Tensor& Values::on(at::Device device) const {
  TWISTOR_ASSERT(memory_ == nullptr, "values in common are in main memory alone");
  if (!tensor_.defined()) {
    tensor_ = view_of(all_).to(device, at::kFloat, /*non_blocking=*/false, /*copy=*/true);
    device::count_up(static_cast<std::int64_t>(all_.size_bytes()));
  }
  TWISTOR_ASSERT(tensor_.device() == device, "values are on one device");
  return tensor_;
}

at::Tensor Values::change_on(at::Device device) {
  const at::Tensor& tensor = on(device);
  is_behind_ = true;
  return tensor;
}

void Values::fetch() const {
  view_of(all_).copy_(tensor_);
  device::count_down(static_cast<std::int64_t>(all_.size_bytes()));
  is_behind_ = false;
}

void Values::replace(std::span<const float> all) {
  TWISTOR_ASSERT(all.size() == size(), "values are replaced by as many");
  tensor_.reset();
  is_behind_ = false;
  std::ranges::copy(all.subspan(static_cast<std::size_t>(part_.data() - all_.data()), part_.size()),
                    part_.begin());
}

// Moving a vector moves its memory, so the spans stay true.
void Values::swap(Values& other) noexcept {
  own_.swap(other.own_);
  memory_.swap(other.memory_);
  std::swap(all_, other.all_);
  std::swap(part_, other.part_);
  std::swap(tensor_, other.tensor_);
  std::swap(is_behind_, other.is_behind_);
}

}  // namespace twistor::twist
