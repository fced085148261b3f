// SPDX-License-Identifier: Apache-2.0
// The registry of post-processors; all of them come down to ids before and after the text.
#include "twistor/text/post_processor.hpp"

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

// BertProcessing and RobertaProcessing; the latter's other options concern offsets alone.
void extend_by_cls_sep(const format::JsonView& json, TextTemplate& out) {
  wrap(out, {read_pair(json.at("cls"))}, {read_pair(json.at("sep"))});
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

void extend_by_template(const format::JsonView& json, TextTemplate& out) {
  const format::JsonView pieces = json.at("single");
  std::vector<TextTemplate::Special> before;
  std::vector<TextTemplate::Special> after;
  bool has_text = false;
  for (std::size_t i = 0; i < pieces.array_size(); ++i) {
    const format::JsonView piece = pieces.item(i);
    if (const auto special = piece.find("SpecialToken")) {
      append_special(json, *special, has_text ? after : before);
      continue;
    }
    const format::JsonView sequence = piece.at("Sequence");
    if (sequence.at("id").string() != "A" || has_text)
      sequence.fail("expected the text 'A' once, got " + format::quote(sequence.at("id").string()));
    has_text = true;
    out.text_type_id = sequence.at("type_id").integer(0, largest_id);
  }
  if (!has_text) pieces.fail("expected the text 'A' once, got special tokens only");
  wrap(out, std::move(before), after);
}

void extend_by_sequence(const format::JsonView& json, TextTemplate& out) {
  const format::JsonView list = json.at("processors");
  for (std::size_t i = 0; i < list.array_size(); ++i) extend(list.item(i), out);
}

// ByteLevel moves offsets, not ids.
constexpr std::array kinds{
    PostProcessorKind{"BertProcessing", extend_by_cls_sep},
    PostProcessorKind{"RobertaProcessing", extend_by_cls_sep},
    PostProcessorKind{"TemplateProcessing", extend_by_template},
    PostProcessorKind{"ByteLevel", [](const format::JsonView&, TextTemplate&) {}},
    PostProcessorKind{"Sequence", extend_by_sequence},
};

void extend(const format::JsonView& json, TextTemplate& out) {
  find_kind(kinds, json.at("type").string(), "post-processor", json).extend(json, out);
}

}  // namespace

TextTemplate read_post_processor(const format::JsonView& json) {
  TextTemplate out;
  extend(json, out);
  out.rule = "the post_processor of tokenizer.json";
  return out;
}

}  // namespace twistor::text
