// SPDX-License-Identifier: Apache-2.0
// The registry of post-processors; all of them come down to ids before and after the text.
#include "twistor/text/post_processor.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>

#include "twistor/text/component_kinds.hpp"

namespace twistor::text {
namespace {

constexpr std::int64_t largest_id = std::numeric_limits<std::int32_t>::max();

void extend(const format::JsonView& json, TextTemplate& out);

void wrap(TextTemplate& out, std::vector<TextTemplate::Special> before,
          const std::vector<TextTemplate::Special>& after) {
  before.insert(before.end(), out.before.begin(), out.before.end());
  out.before = std::move(before);
  out.after.insert(out.after.end(), after.begin(), after.end());
}

// ["[SEP]", 102]
TextTemplate::Special read_pair(const format::JsonView& pair) {
  if (pair.array_size() != 2) pair.fail("expected a token and its id");
  (void)pair.item(0).string();
  return {pair.item(1).integer(0, largest_id), 0};
}

/// Two kinds that put tokens around pairs, one around the other, are none that any tokenizer has: such files
/// have no form for pairs.
void extend_by(const TextTemplate& kind, TextTemplate& out) {
  const bool is_first = out.before.empty() && out.after.empty();
  wrap(out, kind.before, kind.after);
  out.pair = is_first ? kind.pair : std::nullopt;
}

void extend_as_bert(const format::JsonView& json, TextTemplate& out) {
  extend_by(bert_template(read_pair(json.at("cls")).id, read_pair(json.at("sep")).id), out);
}

// Its other options concern offsets alone.
void extend_as_roberta(const format::JsonView& json, TextTemplate& out) {
  extend_by(roberta_template(read_pair(json.at("cls")).id, read_pair(json.at("sep")).id), out);
}

void append_special(const format::JsonView& root, const format::JsonView& piece,
                    std::vector<TextTemplate::Special>& out) {
  const std::int64_t type_id = piece.at("type_id").integer(0, largest_id);
  const format::JsonView tokens = root.at("special_tokens");
  const auto entry = tokens.find(piece.at("id").string());
  if (!entry) piece.fail("the special token " + format::quote(piece.at("id").string()) + " is not defined");
  const format::JsonView ids = entry->at("ids");
  for (std::size_t i = 0; i < ids.array_size(); ++i)
    out.push_back({ids.item(i).integer(0, largest_id), type_id});
}

/// Nothing unless both texts are there once, the first one first.
std::optional<PairTemplate> read_pair_template(const format::JsonView& json) {
  const auto pieces = json.find("pair");
  if (!pieces) return std::nullopt;
  PairTemplate out;
  std::string seen;
  for (std::size_t i = 0; i < pieces->array_size(); ++i) {
    const format::JsonView piece = pieces->item(i);
    if (const auto special = piece.find("SpecialToken")) {
      append_special(json, *special, seen.empty() ? out.before : seen == "A" ? out.between : out.after);
      continue;
    }
    const format::JsonView sequence = piece.at("Sequence");
    seen += sequence.at("id").string();
    (seen == "A" ? out.first_type_id : out.second_type_id) = sequence.at("type_id").integer(0, largest_id);
  }
  return seen == "AB" ? std::optional(out) : std::nullopt;
}

void extend_by_template(const format::JsonView& json, TextTemplate& out) {
  const format::JsonView pieces = json.at("single");
  TextTemplate kind;
  bool has_text = false;
  for (std::size_t i = 0; i < pieces.array_size(); ++i) {
    const format::JsonView piece = pieces.item(i);
    if (const auto special = piece.find("SpecialToken")) {
      append_special(json, *special, has_text ? kind.after : kind.before);
      continue;
    }
    const format::JsonView sequence = piece.at("Sequence");
    if (sequence.at("id").string() != "A" || has_text)
      sequence.fail("expected the text 'A' once, got " + format::quote(sequence.at("id").string()));
    has_text = true;
    out.text_type_id = sequence.at("type_id").integer(0, largest_id);
  }
  if (!has_text) pieces.fail("expected the text 'A' once, got special tokens only");
  kind.pair = read_pair_template(json);
  extend_by(kind, out);
}

void extend_by_sequence(const format::JsonView& json, TextTemplate& out) {
  const format::JsonView list = json.at("processors");
  for (std::size_t i = 0; i < list.array_size(); ++i) extend(list.item(i), out);
}

// ByteLevel moves offsets, not ids.
constexpr std::array kinds{
    PostProcessorKind{"BertProcessing", extend_as_bert},
    PostProcessorKind{"RobertaProcessing", extend_as_roberta},
    PostProcessorKind{"TemplateProcessing", extend_by_template},
    PostProcessorKind{"ByteLevel", [](const format::JsonView&, TextTemplate&) {}},
    PostProcessorKind{"Sequence", extend_by_sequence},
};

void extend(const format::JsonView& json, TextTemplate& out) {
  find_kind(kinds, json.at("type").string(), "post-processor", json).extend(json, out);
}

}  // namespace

TextTemplate bert_template(std::int64_t cls, std::int64_t sep) {
  TextTemplate out;
  out.before = {{cls, 0}};
  out.after = {{sep, 0}};
  out.pair = {{{cls, 0}}, {{sep, 0}}, {{sep, 1}}, 0, 1};
  return out;
}

TextTemplate roberta_template(std::int64_t begin, std::int64_t end) {
  TextTemplate out;
  out.before = {{begin, 0}};
  out.after = {{end, 0}};
  out.pair = {{{begin, 0}}, {{end, 0}, {end, 0}}, {{end, 0}}, 0, 0};
  return out;
}

std::pair<std::int64_t, std::int64_t> cut_longest_first(std::int64_t first, std::int64_t second,
                                                        std::int64_t room) {
  if (first + second <= room) return {first, second};
  const std::int64_t shorter = std::min({first, second, room / 2}), longer = room - shorter;
  return first <= second ? std::pair(shorter, longer) : std::pair(longer, shorter);
}

TextTemplate read_post_processor(const format::JsonView& json) {
  TextTemplate out;
  extend(json, out);
  out.rule = "the post_processor of tokenizer.json";
  return out;
}

}  // namespace twistor::text
