// SPDX-License-Identifier: Apache-2.0
// Normal forms of Unicode, lower case and accents, as the reference library has them for every code point.
#pragma once

#include <string>
#include <string_view>

namespace twistor::text {

/// Unicode Standard Annex #15.
enum class NormalForm { nfc, nfd, nfkc, nfkd };

/// The text in a normal form of Unicode 9, which is what the reference (tokenizers 0.23) knows: code points
/// that came later, and bytes that are no UTF-8, stay as they are and keep what is on their two sides apart.
/// O(n log n) for any text. *Local.*
[[nodiscard]] std::string to_normal_form(std::string_view text, NormalForm form);

/// Every code point by its lower case, whatever stands around it (no final sigma); U+0130 becomes two.
/// Invalid bytes stay.
void to_lower_case(std::string& text);

/// General category M of Unicode 9: what the normalizer StripAccents takes away.
[[nodiscard]] bool is_combining_mark(char32_t value);

/// General category Mn of Unicode 7: what BertNormalizer takes away with strip_accents.
[[nodiscard]] bool is_bert_accent(char32_t value);

/// NUL, U+FFFD and general categories Cc, Cf and Co of Unicode 7, but for tab and line ends: what
/// BertNormalizer takes away with clean_text.
[[nodiscard]] bool is_bert_control(char32_t value);

}  // namespace twistor::text
