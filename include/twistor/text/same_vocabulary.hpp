// SPDX-License-Identifier: Apache-2.0
// Whether two tokenizers mean the same tokens by their ids.
#pragma once

#include <string>

#include "twistor/text/tokenizer.hpp"

namespace twistor::text {

/// The first id that two vocabularies spell differently, in words: "token 7 is 'a' in the first and 'b' in
/// the second"; empty if there is none. How texts are cut into tokens is not compared. *Local.*
[[nodiscard]] std::string first_difference(const Tokenizer& first, const Tokenizer& second);

}  // namespace twistor::text
