// SPDX-License-Identifier: Apache-2.0
// The registry of normalizers, and all kinds but BERT's and SentencePiece's.
#include "twistor/text/normalizer.hpp"

#include <array>
#include <utility>
#include <vector>

#include "twistor/text/byte_symbols.hpp"
#include "twistor/text/component_kinds.hpp"
#include "twistor/text/replacement.hpp"
#include "twistor/text/unicode.hpp"
#include "twistor/text/unicode_forms.hpp"
#include "twistor/text/unicode_ranges.hpp"

namespace twistor::text {
namespace {

Normalizer make_prepend(const format::JsonView& json) {
  return [prefix = json.at("prepend").string()](std::string& text) {
    if (!text.empty()) text.insert(0, prefix);
  };
}

Normalizer make_replace(const format::JsonView& json) {
  return [replacement = Replacement::from_json(json)](std::string& text) { replacement.apply(text); };
}

Normalizer make_byte_level(const format::JsonView&) {
  return [](std::string& text) { text = spell_bytes(text); };
}

template <NormalForm form>
Normalizer make_normal_form(const format::JsonView&) {
  return [](std::string& text) { text = to_normal_form(text, form); };
}

Normalizer make_lower_case(const format::JsonView&) {
  return to_lower_case;
}

Normalizer make_strip_accents(const format::JsonView&) {
  return [](std::string& text) {
    rewrite_code_points(text, [](std::string& out, char32_t value) {
      if (!is_combining_mark(value)) append_utf8(out, value);
    });
  };
}

Normalizer make_strip(const format::JsonView& json) {
  const bool is_left = json.at("strip_left").boolean();
  const bool is_right = json.at("strip_right").boolean();
  return [is_left, is_right](std::string& text) {
    if (is_right) text.resize(white_space_begin(text, text.size()));
    if (is_left) text.erase(0, white_space_end(text, 0));
  };
}

// The rules of the NMT models of SentencePiece: some controls vanish, other separators are spaces.
Normalizer make_nmt(const format::JsonView&) {
  static constexpr std::array gone{Range{0x1, 0x8},   Range{0xb, 0xb},   Range{0xe, 0x1f},
                                   Range{0x7f, 0x7f}, Range{0x8f, 0x8f}, Range{0x9f, 0x9f}};
  static constexpr std::array spaces{Range{0x9, 0xa},       Range{0xc, 0xd},       Range{0x1680, 0x1680},
                                     Range{0x200b, 0x200f}, Range{0x2028, 0x2029}, Range{0x2581, 0x2581},
                                     Range{0xfeff, 0xfeff}, Range{0xfffd, 0xfffd}};
  return [](std::string& text) {
    rewrite_code_points(text, [](std::string& out, char32_t value) {
      if (!is_in(gone, value)) append_utf8(out, is_in(spaces, value) ? U' ' : value);
    });
  };
}

// Older files leave options at their defaults.
Normalizer make_bert(const format::JsonView& json) {
  BertNormalizerOptions options;
  for (const auto& [key, target] : {std::pair{"clean_text", &options.clean_text},
                                    std::pair{"handle_chinese_chars", &options.handle_chinese_chars},
                                    std::pair{"lowercase", &options.lowercase}})
    if (const auto member = json.find(key)) *target = member->boolean();
  if (const auto strip = json.find("strip_accents")) options.strip_accents = strip->boolean();
  return bert_normalizer(options);
}

constexpr std::array kinds{
    NormalizerKind{"BertNormalizer", make_bert},
    NormalizerKind{"NFC", make_normal_form<NormalForm::nfc>},
    NormalizerKind{"NFD", make_normal_form<NormalForm::nfd>},
    NormalizerKind{"NFKC", make_normal_form<NormalForm::nfkc>},
    NormalizerKind{"NFKD", make_normal_form<NormalForm::nfkd>},
    NormalizerKind{"Lowercase", make_lower_case},
    NormalizerKind{"StripAccents", make_strip_accents},
    NormalizerKind{"Strip", make_strip},
    NormalizerKind{"Nmt", make_nmt},
    NormalizerKind{"Precompiled", make_precompiled},
    NormalizerKind{"Prepend", make_prepend},
    NormalizerKind{"Replace", make_replace},
    NormalizerKind{"ByteLevel", make_byte_level},
};

}  // namespace

Normalizer read_normalizer(const format::JsonView& json) {
  std::vector<Normalizer> steps;
  for_each_part(json, "normalizers", [&](const format::JsonView& part) {
    steps.push_back(find_kind(kinds, part.at("type").string(), "normalizer", part).make(part));
  });
  if (steps.size() == 1) return steps.front();
  return [steps = std::move(steps)](std::string& text) {
    const std::size_t before = text.size();
    for (const Normalizer& step : steps) {
      step(text);
      check_growth(before, text.size());
    }
  };
}

}  // namespace twistor::text
