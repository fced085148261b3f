// SPDX-License-Identifier: Apache-2.0
// The numbers of a parameter, which the processes of a node may have in common.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "twistor/base/common_memory.hpp"

namespace twistor::twist {

/// float32 one after another: this process's own, or in memory that several have in common, each of which
/// writes a part. A copy is the process's own.
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
  [[nodiscard]] float* data() noexcept { return all_.data(); }
  [[nodiscard]] const float* data() const noexcept { return all_.data(); }
  [[nodiscard]] float* begin() noexcept { return data(); }
  [[nodiscard]] float* end() noexcept { return data() + size(); }
  [[nodiscard]] const float* begin() const noexcept { return data(); }
  [[nodiscard]] const float* end() const noexcept { return data() + size(); }
  [[nodiscard]] float& operator[](std::size_t i) noexcept { return all_[i]; }
  [[nodiscard]] float operator[](std::size_t i) const noexcept { return all_[i]; }
  friend bool operator==(const Values& a, const Values& b);

  /// nullptr where they are this process's own.
  [[nodiscard]] const CommonMemory* common() const noexcept { return memory_.get(); }
  /// Those that this process writes: all where they are its own.
  [[nodiscard]] std::span<float> part() noexcept { return part_; }
  [[nodiscard]] std::span<const float> part() const noexcept { return part_; }
  /// Puts `all` in their place, this process's part where they are in common. As many as there are.
  void replace(std::span<const float> all);

 private:
  void swap(Values& other) noexcept;

  std::vector<float> own_;
  std::shared_ptr<CommonMemory> memory_;
  std::span<float> all_, part_;
};

}  // namespace twistor::twist
