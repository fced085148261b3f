// SPDX-License-Identifier: Apache-2.0
// Rewriting a text before it is cut into pieces: lower case, Unicode forms, replacements.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "twistor/format/json.hpp"

namespace twistor::text {

/// Rewrites a text in place. Pure and thread-safe; empty means that nothing is to be done. Bytes that are no
/// UTF-8 pass unchanged unless the kind says otherwise.
using Normalizer = std::function<void(std::string& text)>;

/// A kind of the "normalizer" of a tokenizer.json. A new kind is a function like these and one line in the
/// table of src/text/normalizer.cpp.
struct NormalizerKind {
  std::string_view type;
  Normalizer (*make)(const format::JsonView& json);
};

/// Text preparation of BERT (Devlin et al. 2019). With clean_text, bytes that are no UTF-8 are taken away, as
/// U+FFFD would be; without, they stay.
struct BertNormalizerOptions {
  bool clean_text = true;             ///< no control characters, all white space as spaces
  bool handle_chinese_chars = true;   ///< spaces around CJK ideographs
  std::optional<bool> strip_accents;  ///< as `lowercase` unless given
  bool lowercase = true;
};
[[nodiscard]] Normalizer bert_normalizer(BertNormalizerOptions options);

/// src/text/precompiled_normalizer.cpp: the character map of a SentencePiece model. Throws Error(data).
[[nodiscard]] Normalizer make_precompiled(const format::JsonView& json);

/// Throws Error(data) naming a kind or an option that is not supported. *Local.*
[[nodiscard]] Normalizer read_normalizer(const format::JsonView& json);

}  // namespace twistor::text
