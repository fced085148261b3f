// SPDX-License-Identifier: Apache-2.0
// One owner for every kind of foreign handle (MPI, HDF5, NCCL, CUDA, file descriptors).
#pragma once

#include <utility>

namespace twistor {

/// Move-only owner. Traits give `using type`, `static type null()`, `static void close(type) noexcept`.
template <class Traits>
class UniqueHandle {
 public:
  using type = typename Traits::type;

  UniqueHandle() noexcept = default;
  explicit UniqueHandle(type value) noexcept : value_(value) {}
  UniqueHandle(UniqueHandle&& other) noexcept : value_(std::exchange(other.value_, Traits::null())) {}
  UniqueHandle& operator=(UniqueHandle&& other) noexcept {
    if (this != &other) {
      reset();
      value_ = std::exchange(other.value_, Traits::null());
    }
    return *this;
  }
  UniqueHandle(const UniqueHandle&) = delete;
  UniqueHandle& operator=(const UniqueHandle&) = delete;
  ~UniqueHandle() { reset(); }

  [[nodiscard]] type get() const noexcept { return value_; }
  [[nodiscard]] explicit operator bool() const noexcept { return value_ != Traits::null(); }
  [[nodiscard]] type release() noexcept { return std::exchange(value_, Traits::null()); }
  void reset() noexcept {
    if (value_ != Traits::null()) Traits::close(std::exchange(value_, Traits::null()));
  }

 private:
  type value_ = Traits::null();
};

}  // namespace twistor
