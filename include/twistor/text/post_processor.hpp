// SPDX-License-Identifier: Apache-2.0
// The special tokens that a model expects around a text: [CLS] x [SEP], <s> x </s>; and around two of them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "twistor/format/json.hpp"

namespace twistor::text {

/// A token that is put beside a text's, and its type (segment).
struct SpecialToken {
  std::int64_t id = 0;
  std::int64_t type_id = 0;
};

/// The form of two texts, a prompt and its answer: [CLS] first [SEP] second [SEP].
struct PairTemplate {
  std::vector<SpecialToken> before, between, after;
  std::int64_t first_type_id = 0, second_type_id = 1;
};

/// What is put before and after the ids of one text, with the type (segment) of each. *Local.*
struct TextTemplate {
  using Special = SpecialToken;
  std::vector<Special> before;
  std::vector<Special> after;
  std::int64_t text_type_id = 0;
  std::string rule;                  ///< where it comes from, for people; empty if nothing says anything
  std::optional<PairTemplate> pair;  ///< none: the files have no form for two texts
};

/// [CLS] x [SEP], and [CLS] x [SEP] y [SEP] where y and what follows it are of type 1. *Local.*
[[nodiscard]] TextTemplate bert_template(std::int64_t cls, std::int64_t sep);
/// <s> x </s>, and <s> x </s></s> y </s> of one type. *Local.*
[[nodiscard]] TextTemplate roberta_template(std::int64_t begin, std::int64_t end);

/// How many tokens two texts keep so that they have `room` at most: the longer one is cut to the length of
/// the shorter first, then both to half of the room, of which the longer has the odd token (the second, where
/// they are equal), as truncation by "longest_first" does. *Local.*
[[nodiscard]] std::pair<std::int64_t, std::int64_t> cut_longest_first(std::int64_t first, std::int64_t second,
                                                                      std::int64_t room);

/// A kind of the "post_processor" of a tokenizer.json: puts its tokens around what the template has. A new
/// kind is one function and one line in the table of src/text/post_processor.cpp.
struct PostProcessorKind {
  std::string_view type;
  void (*extend)(const format::JsonView& json, TextTemplate& out);
};

/// The forms for one text and, where the file has one with the first text first, for two. Throws Error(data)
/// naming a kind that is not supported.
[[nodiscard]] TextTemplate read_post_processor(const format::JsonView& json);

}  // namespace twistor::text
