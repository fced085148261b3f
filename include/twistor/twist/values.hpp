// SPDX-License-Identifier: Apache-2.0
// The numbers of a parameter, which the processes of a node may have in common, or a device beside us.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "twistor/base/common_memory.hpp"

namespace twistor::twist {

/// float32 one after another: this process's own, or in memory that several have in common, each of which
/// writes a part. A copy is the process's own. Own ones may be on a device as well: whichever of the two
/// places was changed last is right, and the other follows when it is next asked for.
class Values {
 public:
  Values() = default;
  Values(std::vector<float> own)  // NOLINT(google-explicit-constructor): the plain case
      : own_(std::move(own)), all_(own_), part_(all_) {}
  /// All that `memory` holds; this process writes [begin, end) of them.
  Values(std::shared_ptr<CommonMemory> memory, std::size_t begin, std::size_t end);
  Values(const Values& other) : Values(std::vector<float>(other.begin(), other.end())) {}
  Values(Values&& other) noexcept { swap(other); }
  Values& operator=(Values other) noexcept {
    swap(other);
    return *this;
  }
  ~Values() = default;

  [[nodiscard]] std::size_t size() const noexcept { return all_.size(); }
  // In main memory: those that may be changed there, and those that are read.
  [[nodiscard]] float* data() { return changed().all_.data(); }
  [[nodiscard]] const float* data() const { return fetched().all_.data(); }
  [[nodiscard]] float* begin() { return data(); }
  [[nodiscard]] float* end() { return data() + size(); }
  [[nodiscard]] const float* begin() const { return data(); }
  [[nodiscard]] const float* end() const { return data() + size(); }
  [[nodiscard]] float& operator[](std::size_t i) { return data()[i]; }
  [[nodiscard]] float operator[](std::size_t i) const { return data()[i]; }
  friend bool operator==(const Values& a, const Values& b);

  /// Those on a device, (size), to be read; not of memory in common. *Not thread-safe*, nor is the first
  /// reading in main memory after a change on a device.
  [[nodiscard]] const at::Tensor& on(at::Device device) const;
  /// The same, to be changed in place before anything else is asked of this.
  [[nodiscard]] at::Tensor change_on(at::Device device);

  /// nullptr where they are this process's own.
  [[nodiscard]] const CommonMemory* common() const noexcept { return memory_.get(); }
  /// Those that this process writes: all where they are its own.
  [[nodiscard]] std::span<float> part() { return changed().part_; }
  [[nodiscard]] std::span<const float> part() const { return fetched().part_; }
  /// Puts `all` in their place, this process's part where they are in common. As many as there are.
  void replace(std::span<const float> all);

 private:
  void swap(Values& other) noexcept;
  [[nodiscard]] const Values& fetched() const {
    if (is_behind_) fetch();
    return *this;
  }
  [[nodiscard]] Values& changed() {
    (void)fetched();
    tensor_.reset();
    return *this;
  }
  void fetch() const;

  std::vector<float> own_;
  std::shared_ptr<CommonMemory> memory_;
  std::span<float> all_, part_;
  mutable at::Tensor tensor_;       // on a device, right where it is defined
  mutable bool is_behind_ = false;  // whether it alone is
};

}  // namespace twistor::twist
