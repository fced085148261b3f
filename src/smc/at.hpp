// SPDX-License-Identifier: Apache-2.0
// Ids and counts as indices.
#pragma once

#include <cstddef>
#include <cstdint>

namespace twistor::smc {

constexpr std::size_t at(std::int64_t i) noexcept {
  return static_cast<std::size_t>(i);
}

}  // namespace twistor::smc
