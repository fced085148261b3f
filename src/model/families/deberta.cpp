// SPDX-License-Identifier: Apache-2.0
// DeBERTa-v2 and v3: what their configurations say about distances (He et al. 2021, disentangled attention).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "encoder_families.hpp"
#include "twistor/base/strings.hpp"

namespace twistor::model {
namespace {

constexpr std::int64_t most_positions = 1 << 24;

bool flag_of(const format::JsonView& config, std::string_view key, bool otherwise) {
  const auto value = config.find(key);
  return value ? value->boolean() : otherwise;
}

/// A number, or `otherwise` where the key is missing or says -1.
std::int64_t size_of(const format::JsonView& config, std::string_view key, std::int64_t otherwise) {
  const auto value = config.find(key);
  if (!value) return otherwise;
  const std::int64_t number = value->integer(-1, most_positions);
  return number < 1 ? otherwise : number;
}

/// A list of words, or one string with | between them.
std::vector<std::string> words_of(const format::JsonView& value) {
  std::vector<std::string> words;
  if (value.is_array())
    for (std::size_t i = 0; i < value.array_size(); ++i) words.push_back(value.item(i).string());
  else
    for (const auto& word : split(value.string(), '|')) words.emplace_back(trim(word));
  return words;
}

void refuse_other_sizes(const format::JsonView& config, const EncoderTraits& traits) {
  const auto expect = [&](std::string_view key, std::int64_t number) {
    const auto value = config.find(key);
    if (value && value->integer(0, most_positions) != number)
      value->fail(fmt::format("{} is not supported; expected {}", value->integer(0, most_positions), number));
  };
  expect("embedding_size", traits.width);
  expect("pooler_hidden_size", traits.width);
  expect("attention_head_size", traits.width / traits.n_heads);
}

void read_convolution(const format::JsonView& config, EncoderTraits& traits) {
  const auto size = config.find("conv_kernel_size");
  if (!size) return;
  ConvolutionTraits& out = traits.convolution;
  out.kernel_size = size->integer(0, 255);
  if (out.kernel_size == 0) return;
  if (out.kernel_size % 2 == 0)
    size->fail(fmt::format("{} tokens have none in the middle; expected an odd number", out.kernel_size));
  if (const auto groups = config.find("conv_groups"); groups && groups->integer(1, traits.width) != 1)
    groups->fail("a convolution in groups is not supported; expected 1");
  if (const auto name = config.find("conv_act")) out.activation = read_encoder_activation(*name, true);
}

/// What attention's scores are made of, and how many terms they have, whether distances are seen or not.
void read_terms(const format::JsonView& config, EncoderTraits& traits) {
  const auto types = config.find("pos_att_type");
  if (!types) return;
  for (const std::string& word : words_of(*types)) {
    if (word == "c2p")
      traits.distances.meets_keys = true;
    else if (word == "p2c")
      traits.distances.meets_queries = true;
    else if (!word.empty())
      types->fail(fmt::format("the term \"{}\" is not supported", word), "supported: c2p, p2c");
  }
  traits.n_score_terms = 1 + (traits.distances.meets_keys ? 1 : 0) + (traits.distances.meets_queries ? 1 : 0);
}

void read_distances(const format::JsonView& config, EncoderTraits& traits) {
  DistanceTraits& d = traits.distances;
  d.farthest = size_of(config, "max_relative_positions", traits.n_positions);
  d.buckets = size_of(config, "position_buckets", 0);
  d.span = d.buckets > 0 ? d.buckets : d.farthest;
  if (d.buckets > 0 && (d.buckets < 2 || d.farthest - 1 <= d.buckets / 2))
    config.at("position_buckets")
        .fail(fmt::format("{} buckets do not fit distances up to {}", d.buckets, d.farthest),
              "expected at least 2, and less than twice the largest distance");
  d.has_own_projections = !flag_of(config, "share_att_key", false);
  if (const auto norms = config.find("norm_rel_ebd"))
    for (const std::string& word : words_of(*norms)) {
      if (word == "layer_norm")
        d.is_normalised = true;
      else if (word != "none")
        norms->fail(fmt::format("the norm \"{}\" is not supported", word), "supported: layer_norm, none");
    }
}

}  // namespace

void read_deberta(const format::JsonView& config, EncoderTraits& traits) {
  refuse_other_sizes(config, traits);
  traits.has_positions = flag_of(config, "position_biased_input", true);
  read_terms(config, traits);
  read_convolution(config, traits);
  if (flag_of(config, "relative_attention", false)) read_distances(config, traits);
}

std::int64_t row_of_distance(const DistanceTraits& traits, std::int64_t distance) {
  const std::int64_t middle = traits.buckets / 2, size = std::abs(distance);
  std::int64_t step = distance;
  if (traits.buckets > 0 && size > middle) {
    const auto base = static_cast<double>(middle);
    const double share = std::log(static_cast<double>(size) / base) /
                         std::log(static_cast<double>(traits.farthest - 1) / base);
    step = middle + static_cast<std::int64_t>(std::ceil(share * static_cast<double>(middle - 1)));
    if (distance < 0) step = -step;
  }
  return std::clamp(step + traits.span, std::int64_t{0}, 2 * traits.span - 1);
}

}  // namespace twistor::model
