// SPDX-License-Identifier: Apache-2.0
// The limit that keeps chains of components from filling the memory.
#include "twistor/text/component_kinds.hpp"

#include <fmt/format.h>

#include "twistor/base/error.hpp"

namespace twistor::text {

void check_growth(std::size_t before, std::size_t after) {
  constexpr std::size_t largest_factor = 64;  // Unicode's own forms reach 18
  constexpr std::size_t always_allowed_bytes = 4096;
  TWISTOR_CHECK(after / largest_factor <= before + always_allowed_bytes / largest_factor, ErrorKind::data,
                "taking a text through the parts of a tokenizer",
                fmt::format("expected at most {} times the {} bytes that came in, got {}", largest_factor,
                            before, after),
                "the parts of this tokenizer are not those of a real model");
}

}  // namespace twistor::text
