// The registry of normalizers, and the kinds that need no Unicode tables.
#include "twistor/text/normalizer.hpp"

#include <array>
#include <utility>
#include <vector>

#include "twistor/text/byte_symbols.hpp"
#include "twistor/text/component_kinds.hpp"
#include "twistor/text/replacement.hpp"

namespace twistor::text {
namespace {

Normalizer make_sequence(const JsonView& json) {
  const JsonView list = json.at("normalizers");
  std::vector<Normalizer> steps;
  for (std::size_t i = 0; i < list.array_size(); ++i) steps.push_back(read_normalizer(list.item(i)));
  return [steps = std::move(steps)](std::string& text) {
    for (const Normalizer& step : steps) step(text);
  };
}

Normalizer make_prepend(const JsonView& json) {
  return [prefix = json.at("prepend").string()](std::string& text) {
    if (!text.empty()) text.insert(0, prefix);
  };
}

Normalizer make_replace(const JsonView& json) {
  return [replacement = Replacement::from_json(json)](std::string& text) { replacement.apply(text); };
}

Normalizer make_byte_level(const JsonView&) {
  return [](std::string& text) { text = spell_bytes(text); };
}

constexpr std::array kinds{
    NormalizerKind{"Sequence", make_sequence},
    NormalizerKind{"Prepend", make_prepend},
    NormalizerKind{"Replace", make_replace},
    NormalizerKind{"ByteLevel", make_byte_level},
};

}  // namespace

Normalizer read_normalizer(const JsonView& json) {
  return find_kind(kinds, json.at("type").string(), "normalizer", json).make(json);
}

}  // namespace twistor::text
