// SPDX-License-Identifier: Apache-2.0
// Text of whatever tokens a language model may draw.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "twistor/text/tokenizer.hpp"

namespace twistor::text {

/// The text of ids. Those that no token has, because the model's vocabulary is padded beyond the
/// tokenizer's or this one has holes, become U+FFFD. Invalid UTF-8 stays as it is. *Local.*
[[nodiscard]] std::string decode_any(const Tokenizer& tokenizer, std::span<const std::int64_t> ids);

}  // namespace twistor::text
