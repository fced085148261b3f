// SPDX-License-Identifier: Apache-2.0
// Numbers that one process or several hold.
#include "twistor/twist/values.hpp"

#include <algorithm>

#include "twistor/base/error.hpp"

namespace twistor::twist {

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

void Values::replace(std::span<const float> all) {
  TWISTOR_ASSERT(all.size() == size(), "values are replaced by as many");
  std::ranges::copy(all.subspan(static_cast<std::size_t>(part_.data() - all_.data()), part_.size()),
                    part_.begin());
}

// Moving a vector moves its memory, so the spans stay true.
void Values::swap(Values& other) noexcept {
  own_.swap(other.own_);
  memory_.swap(other.memory_);
  std::swap(all_, other.all_);
  std::swap(part_, other.part_);
}

}  // namespace twistor::twist
