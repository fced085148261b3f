// SPDX-License-Identifier: Apache-2.0
// The special tokens that a model expects around a text: [CLS] x [SEP], <s> x </s>.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "twistor/format/json.hpp"

namespace twistor::text {

/// What is put before and after the ids of one text, with the type (segment) of each. *Local.*
struct TextTemplate {
  struct Special {
    std::int64_t id = 0;
    std::int64_t type_id = 0;
  };
  std::vector<Special> before;
  std::vector<Special> after;
  std::int64_t text_type_id = 0;
  std::string rule;  ///< where it comes from, for people; empty if nothing says anything
};

/// A kind of the "post_processor" of a tokenizer.json: puts its tokens around what the template has. A new
/// kind is one function and one line in the table of src/text/post_processor.cpp.
struct PostProcessorKind {
  std::string_view type;
  void (*extend)(const format::JsonView& json, TextTemplate& out);
};

/// The form for single texts; what a file says about pairs is not used. Throws Error(data) naming a kind
/// that is not supported.
[[nodiscard]] TextTemplate read_post_processor(const format::JsonView& json);

}  // namespace twistor::text
