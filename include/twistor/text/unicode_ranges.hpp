// SPDX-License-Identifier: Apache-2.0
// Sorted ranges of code points, for what Unicode tables of one version have and another's have not.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>

namespace twistor::text {

struct Range {
  char32_t first, last;
};

template <std::size_t n>
[[nodiscard]] bool is_in(const std::array<Range, n>& sorted, char32_t value) {
  const auto after =
      std::upper_bound(sorted.begin(), sorted.end(), value,
                       [](char32_t wanted, const Range& range) { return wanted < range.first; });
  return after != sorted.begin() && value <= std::prev(after)->last;
}

}  // namespace twistor::text
