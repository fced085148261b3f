// SPDX-License-Identifier: Apache-2.0
// Frequencies of rotary positions.
#include "rope.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>
#include <optional>

#include "twistor/base/error.hpp"
#include "twistor/format/quote.hpp"

namespace twistor::model {
namespace {

constexpr double two_pi = 2 * std::numbers::pi;

/// The dimensions of a head that turn.
std::int64_t rotated_dims(const format::JsonView& place, const RotaryContext& context, double fraction) {
  if (!context.may_be_partial && fraction != 1)
    place.fail("rotary positions on a part of each head are not supported for this family");
  const auto dims = static_cast<std::int64_t>(static_cast<double>(context.head_size) * fraction);
  if (!(fraction > 0 && fraction <= 1) || dims < 2 || dims % 2 != 0)
    place.fail(fmt::format("{} of a head's {} dimensions cannot turn in pairs", fraction, context.head_size));
  return dims;
}

// Keys outside this list might change the outputs in a way that is not known here.
void check_keys(const format::JsonView& section) {
  constexpr std::array<std::string_view, 17> known{"type",
                                                   "rope_type",
                                                   "rope_theta",
                                                   "partial_rotary_factor",
                                                   "factor",
                                                   "original_max_position_embeddings",
                                                   "low_freq_factor",
                                                   "high_freq_factor",
                                                   "attention_factor",
                                                   "beta_fast",
                                                   "beta_slow",
                                                   "mscale",
                                                   "mscale_all_dim",
                                                   "truncate",
                                                   "short_factor",
                                                   "long_factor",
                                                   "finetuned"};
  for (const auto& [key, value] : section.object().items())
    if (std::ranges::find(known, key) == known.end())
      section.child(key, value).fail("this key of rotary positions is not supported");
}

double number_or(const format::JsonView& section, std::string_view key, double otherwise) {
  const auto found = section.find(key);
  return found ? positive_number(*found) : otherwise;
}

/// The context that the model was first trained with: transformers looks for it in these places.
double original_context(const format::JsonView& config, const format::JsonView& section,
                        const RotaryContext& context) {
  const auto outer = config.find("original_max_position_embeddings");
  return outer ? positive_number(*outer)
               : number_or(section, "original_max_position_embeddings", static_cast<double>(context.context));
}

/// Long waves are stretched by `factor`, short ones are kept, those between are mixed.
void scale_llama3(const format::JsonView& config, const format::JsonView& section,
                  const RotaryContext& context, Rotary& rotary) {
  const double factor = positive_number(section.at("factor")),
               low = positive_number(section.at("low_freq_factor")),
               high = positive_number(section.at("high_freq_factor")),
               original = original_context(config, section, context);
  if (!(low < high)) section.at("high_freq_factor").fail("expected a number above low_freq_factor");
  for (double& frequency : rotary.frequencies) {
    const double turns = original * frequency / two_pi;  // over the original context
    if (turns > high) continue;
    const double mix = turns < low ? 0.0 : (turns - low) / (high - low);
    frequency = (1 - mix) * frequency / factor + mix * frequency;
  }
}

double yarn_magnitude(const format::JsonView& section, double factor) {
  if (const auto given = section.find("attention_factor")) return positive_number(*given);
  const auto magnitude = [&](double scale) {
    return factor <= 1 ? 1.0 : 0.1 * scale * std::log(factor) + 1.0;
  };
  const auto scale = section.find("mscale"), all = section.find("mscale_all_dim");
  if (scale && all && scale->number() != 0 && all->number() != 0)
    return magnitude(scale->number()) / magnitude(all->number());
  return magnitude(1.0);
}

/// YaRN (Peng et al. 2023): a ramp over the pairs from kept to stretched, and a magnitude of cosines and
/// sines.
void scale_yarn(const format::JsonView& config, const format::JsonView& section, const RotaryContext& context,
                double base, Rotary& rotary) {
  if (const auto other = section.find("short_factor"))  // early files of Phi-3 call it so
    other->fail("positions of type yarn have no such factors", "if they are LongRoPE's, write longrope");
  const auto dims = static_cast<double>(2 * rotary.frequencies.size());
  const double original = original_context(config, section, context),
               factor = number_or(section, "factor", static_cast<double>(context.context) / original);
  const auto dimension_of = [&](double turns) {  // the pair that turns so often over the original context
    return dims * std::log(original / (turns * two_pi)) / (2 * std::log(base));
  };
  double low = dimension_of(number_or(section, "beta_fast", 32)),
         high = dimension_of(number_or(section, "beta_slow", 1));
  if (flag(section, "truncate", true)) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dims - 1);
  if (low == high) high += 0.001;
  for (std::size_t i = 0; i < rotary.frequencies.size(); ++i) {
    const double stretched = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    rotary.frequencies[i] *= stretched / factor + (1 - stretched);
  }
  rotary.magnitude = yarn_magnitude(section, factor);
}

/// LongRoPE (Ding et al. 2024): a factor for each pair, "short_factor" within the original context and
/// "long_factor" beyond, and a magnitude.
void scale_longrope(const format::JsonView& config, const format::JsonView& section,
                    const RotaryContext& context, const char* factors_key, Rotary& rotary) {
  const format::JsonView factors = section.at(factors_key);
  if (factors.array_size() != rotary.frequencies.size())
    factors.fail(fmt::format("expected {} numbers, got {}", rotary.frequencies.size(), factors.array_size()));
  for (std::size_t i = 0; i < rotary.frequencies.size(); ++i)
    rotary.frequencies[i] /= positive_number(factors.item(i));
  const double original = original_context(config, section, context),
               factor = number_or(section, "factor", static_cast<double>(context.context) / original);
  rotary.magnitude = factor <= 1 ? 1.0 : std::sqrt(1 + std::log(factor) / std::log(original));
  if (const auto given = section.find("attention_factor")) rotary.magnitude = positive_number(*given);
}

std::optional<format::JsonView> rotary_section(const format::JsonView& config) {
  const auto section = config.find("rope_scaling");
  return section && !section->object().empty() ? section : config.find("rope_parameters");
}

std::string type_of(const format::JsonView& section) {
  for (const char* key : {"rope_type", "type"})
    if (const auto type = section.find(key)) return type->string();
  return "default";
}

/// The same number under several names, where transformers of one age wrote it and those of another read it:
/// which of two values the model was trained with cannot be told.
void check_same(const format::JsonView& config, std::span<const std::string_view> outer,
                std::string_view inner) {
  std::optional<double> value;
  std::string name;
  const auto compare = [&](const format::JsonView& place, std::string_view key, const std::string& full) {
    const auto found = place.find(key);
    if (!found) return;
    const double number = found->number();
    if (value && *value != number)
      found->fail(fmt::format("expected {} as in {}, got {}", *value, name, number),
                  "remove the one that the model was not trained with");
    value = number;
    name = full;
  };
  for (const std::string_view key : outer) compare(config, key, std::string(key));
  for (const char* section : {"rope_scaling", "rope_parameters"})
    if (const auto found = config.find(section)) compare(*found, inner, fmt::format("{}.{}", section, inner));
}

void check_agreement(const format::JsonView& config) {
  constexpr std::array<std::string_view, 2> bases{"rope_theta", "rotary_emb_base"},
      fractions{"partial_rotary_factor", "rotary_pct"};
  check_same(config, bases, "rope_theta");
  check_same(config, fractions, "partial_rotary_factor");
}

}  // namespace

std::vector<double> plain_frequencies(std::int64_t dims, double base) {
  std::vector<double> result;
  for (std::int64_t i = 0; i < dims / 2; ++i)
    result.push_back(std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(dims)));
  return result;
}

Rotary rotary_from_config(const format::JsonView& config, const RotaryContext& context) {
  return rotary_from_section(config, rotary_section(config), context);
}

std::int64_t rotary_limit(const format::JsonView& config, std::int64_t context) {
  const auto section = rotary_section(config);
  if (!section || type_of(*section) != "longrope") return context;
  const double original = original_context(config, *section, {.context = context});
  return original < static_cast<double>(context) ? static_cast<std::int64_t>(original) : context;
}

Rotary rotary_from_section(const format::JsonView& config, const std::optional<format::JsonView>& section,
                           const RotaryContext& context) {
  if (!section)
    return {plain_frequencies(rotated_dims(config, context, context.fraction), context.base), 1.0};
  check_keys(*section);
  check_agreement(config);
  const double base = number_or(*section, "rope_theta", context.base);
  const double fraction = number_or(*section, "partial_rotary_factor", context.fraction);
  Rotary rotary{plain_frequencies(rotated_dims(*section, context, fraction), base), 1.0};
  const std::string name = type_of(*section);
  if (name == "linear") {
    const double factor = positive_number(section->at("factor"));
    for (double& frequency : rotary.frequencies) frequency /= factor;
  } else if (name == "llama3") {
    scale_llama3(config, *section, context, rotary);
  } else if (name == "yarn") {
    scale_yarn(config, *section, context, base, rotary);
  } else if (name == "longrope") {
    scale_longrope(config, *section, context, "short_factor", rotary);
  } else if (name != "default" && name != "dynamic") {  // dynamic: stretched beyond the context alone
    section->at(section->find("rope_type") ? "rope_type" : "type")
        .fail("rotary positions of type " + format::quote(name) + " are not supported",
              "supported: default, linear, dynamic, llama3, longrope, yarn");
  }
  return rotary;
}

std::optional<Rotary> long_rotary_from_config(const format::JsonView& config, const RotaryContext& context) {
  const auto section = rotary_section(config);
  if (!section || rotary_limit(config, context.context) == context.context || !section->find("long_factor"))
    return std::nullopt;
  const double base = number_or(*section, "rope_theta", context.base),
               fraction = number_or(*section, "partial_rotary_factor", context.fraction);
  Rotary rotary{plain_frequencies(rotated_dims(*section, context, fraction), base), 1.0};
  scale_longrope(config, *section, context, "long_factor", rotary);
  return rotary;
}

namespace {

constexpr const char *short_factors = "rope_factors_short.weight", *long_factors = "rope_factors_long.weight";

bool has_longrope(const format::WeightFile& file) {
  return file.find(short_factors) != nullptr || file.find(long_factors) != nullptr;
}

Rotary plain_rotary(GgufKeys& keys, std::int64_t head_size) {
  const std::int64_t dims = keys.find_size("rope.dimension_count", head_size).value_or(head_size);
  if (dims % 2 != 0) keys.fail("rope.dimension_count", fmt::format("is {}, expected an even number", dims));
  return {plain_frequencies(dims, keys.find_positive("rope.freq_base").value_or(10000.0)), 1.0};
}

/// A factor for each pair; the tensor may be null.
void divide_by(const format::TensorInfo* factors, const format::WeightFile& file, Rotary& rotary) {
  if (factors == nullptr) return;
  std::vector<float> values(rotary.frequencies.size());
  format::read_rows_f32(*factors, 0, static_cast<std::int64_t>(values.size()), values);
  for (std::size_t i = 0; i < values.size(); ++i) {
    TWISTOR_CHECK(values[i] > 0, ErrorKind::data, "reading " + file.path().string(),
                  fmt::format("{}: expected factors above 0, got {}", factors->name, values[i]));
    rotary.frequencies[i] /= static_cast<double>(values[i]);
  }
}

/// By one of the two tensors, which must both be there, and a magnitude.
Rotary longrope_from_gguf(GgufKeys& keys, const format::WeightFile& file, std::int64_t head_size,
                          bool is_long) {
  Rotary rotary = plain_rotary(keys, head_size);
  const auto pairs = static_cast<std::int64_t>(rotary.frequencies.size());
  TensorSearch search(file);
  const format::TensorInfo *const near = search.need(short_factors, {pairs}), *const far = search.need(
                                                                                  long_factors, {pairs});
  search.finish();
  divide_by(is_long ? far : near, file, rotary);
  rotary.magnitude = keys.find_positive("rope.scaling.attn_factor").value_or(1.0);
  if (const auto type = keys.find_string("rope.scaling.type"); type && *type != "longrope" && *type != "none")
    keys.fail("rope.scaling.type", format::quote(*type) + " does not go with the factors of LongRoPE");
  keys.ignore({"rope.scaling.original_context_length", "rope.scaling.finetuned"});
  return rotary;
}

}  // namespace

std::optional<Rotary> long_rotary_from_gguf(GgufKeys& keys, const format::WeightFile& file,
                                            std::int64_t head_size, std::int64_t context) {
  if (!has_longrope(file) || rotary_limit(keys, file, context) == context) return std::nullopt;
  return longrope_from_gguf(keys, file, head_size, true);
}

std::int64_t rotary_limit(GgufKeys& keys, const format::WeightFile& file, std::int64_t context) {
  if (!has_longrope(file)) return context;
  return std::min(context,
                  keys.find_size("rope.scaling.original_context_length", most_tokens).value_or(context));
}

Rotary rotary_from_gguf(GgufKeys& keys, const format::WeightFile& file, std::int64_t head_size) {
  if (has_longrope(file)) return longrope_from_gguf(keys, file, head_size, false);
  Rotary rotary = plain_rotary(keys, head_size);
  const auto pairs = static_cast<std::int64_t>(rotary.frequencies.size());
  const std::string type = keys.find_string("rope.scaling.type").value_or("linear");
  const auto factor = keys.find_positive("rope.scaling.factor"),
             older = keys.find_positive("rope.scale_linear");
  if (type == "linear") {
    for (double& frequency : rotary.frequencies) frequency /= factor.value_or(older.value_or(1.0));
  } else if (type != "none") {
    keys.fail("rope.scaling.type", format::quote(type) + " is not supported", "supported: none, linear");
  }
  // Neither has a meaning for these types.
  keys.ignore({"rope.scaling.original_context_length", "rope.scaling.finetuned"});
  TensorSearch search(file);
  const format::TensorInfo* const factors = search.find("rope_freqs.weight", {pairs});
  search.finish();
  divide_by(factors, file, rotary);
  return rotary;
}

}  // namespace twistor::model
