// SPDX-License-Identifier: Apache-2.0
// Memory that several processes have in common, as those see it who need not know how they talk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

namespace twistor {

/// Each process writes a part of it, and reads what others wrote after they have met. All make the same calls
/// in the same order.
class CommonMemory {
 public:
  CommonMemory() = default;
  CommonMemory(const CommonMemory&) = delete;
  CommonMemory& operator=(const CommonMemory&) = delete;
  virtual ~CommonMemory() = default;

  [[nodiscard]] virtual std::span<std::byte> bytes() const = 0;
  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] virtual int size() const = 0;
  /// Waits for all; from then on each sees what the others had written before.
  virtual void meet() const = 0;

  /// Where this process's part of n equal pieces begins and ends.
  struct Part {
    std::int64_t begin = 0, end = 0;
  };
  [[nodiscard]] Part part_of(std::int64_t n) const {
    return {n * rank() / size(), n * (rank() + 1) / size()};
  }
};

/// Makes so many bytes, uninitialised, that begin on a page; nullptr on all processes where there is no room.
using CommonMemoryMaker = std::function<std::shared_ptr<CommonMemory>(std::size_t bytes)>;

}  // namespace twistor
