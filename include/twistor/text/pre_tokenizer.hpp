// SPDX-License-Identifier: Apache-2.0
// Cutting a text into the pieces that a token model may not join: the pre-tokenizers of tokenizer.json.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "twistor/format/json.hpp"

namespace twistor::text {

/// The pieces of a text so far.
struct Pieces {
  std::vector<std::string_view> list;  ///< in order, none empty
  std::deque<std::string> storage;     ///< what rewritten pieces view

  void add(std::string_view piece) {
    if (!piece.empty()) list.push_back(piece);
  }
  void add_rewritten(std::string piece) {
    if (!piece.empty()) list.push_back(storage.emplace_back(std::move(piece)));
  }
};

/// Cuts or rewrites one piece; `is_first`: it stands at the very beginning of the whole text. Pure,
/// thread-safe, linear in the piece. Invalid bytes count as characters of no class.
using CutStep = std::function<void(std::string_view piece, bool is_first, Pieces& out)>;

/// A kind of the "pre_tokenizer" of a tokenizer.json. A new kind is one function and one line in the table of
/// src/text/pre_tokenizer.cpp.
struct PreTokenizerKind {
  std::string_view type;
  void (*append)(const format::JsonView& json, class PreTokenizer& out);
};

/// Steps one after another, each inside the pieces of the one before. *Local*, immutable once made.
class PreTokenizer {
 public:
  /// Throws Error(data) naming a kind, an option or a pattern that is not supported.
  [[nodiscard]] static PreTokenizer from_json(const format::JsonView& json);
  /// The same from text written in a source.
  [[nodiscard]] static PreTokenizer from_text(std::string_view json);
  /// ByteLevel of GPT-2 and RoBERTa.
  [[nodiscard]] static PreTokenizer gpt2(bool add_prefix_space);

  void append(CutStep step) { steps_.push_back({std::move(step), false}); }
  /// Every byte by its symbol of byte_symbols.hpp.
  void append_byte_symbols();
  /// For description(): a pattern that no scanner stands for.
  void note_pattern(std::string_view pattern);

  /// Leaves the spelling of bytes to the model if that is the last step; false if it is not.
  [[nodiscard]] bool release_byte_symbols();

  /// The pieces of a text in order. `is_first`: no part of the whole text comes before this one.
  void split(std::string_view text, bool is_first, Pieces& out) const;

  /// "" or, for people, which patterns go through the general engine.
  [[nodiscard]] const std::string& description() const { return notes_; }

 private:
  struct Step {
    CutStep cut;
    bool spells_bytes = false;
  };
  std::vector<Step> steps_;
  std::string notes_;
};

}  // namespace twistor::text
