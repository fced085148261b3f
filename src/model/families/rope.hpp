// SPDX-License-Identifier: Apache-2.0
// Rotary positions as configurations describe them: base, rotated part of a head, and the ways of scaling
// them for longer contexts. Private to the model room.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "gguf_keys.hpp"
#include "parts.hpp"

namespace twistor::model {

/// What a family's configuration says outside of its rotary section.
struct RotaryContext {
  std::int64_t head_size = 0;
  std::int64_t context = 0;
  double base = 10000;          ///< unless the section names one
  double fraction = 1;          ///< of a head's dimensions that turn, unless the section names one
  bool may_be_partial = false;  ///< whether the family's reference honours a fraction below 1
};

/// base^(-2 i / dims) for each pair i of turning dimensions.
[[nodiscard]] std::vector<double> plain_frequencies(std::int64_t dims, double base);

/// From `rope_scaling` or `rope_parameters` of config.json, either of which may be missing: types default,
/// linear, dynamic (which changes nothing within the context), llama3, yarn and longrope (its short factors,
/// see rotary_limit) as in transformers. Throws Error(data) naming a type or a key that is not known.
[[nodiscard]] Rotary rotary_from_config(const format::JsonView& config, const RotaryContext& context);

/// The same from a section that stands elsewhere in `config`, or without any.
[[nodiscard]] Rotary rotary_from_section(const format::JsonView& config,
                                         const std::optional<format::JsonView>& section,
                                         const RotaryContext& context);

/// The context within which rotary_from_config() holds: that of the model, or the original one of longrope,
/// beyond which all positions of a text, also those before, turn by other factors.
[[nodiscard]] std::int64_t rotary_limit(const format::JsonView& config, std::int64_t context);

/// What holds in its place for texts beyond that limit: longrope's long factors, if there are any.
[[nodiscard]] std::optional<Rotary> long_rotary_from_config(const format::JsonView& config,
                                                            const RotaryContext& context);

/// The same of a GGUF file.
[[nodiscard]] std::int64_t rotary_limit(GgufKeys& keys, const format::WeightFile& file, std::int64_t context);
[[nodiscard]] std::optional<Rotary> long_rotary_from_gguf(GgufKeys& keys, const format::WeightFile& file,
                                                          std::int64_t head_size, std::int64_t context);

/// From the keys ARCH.rope.* and the tensors rope_freqs.weight or rope_factors_short.weight: no scaling,
/// linear scaling, factors by frequency (Llama 3), LongRoPE within rotary_limit(). Throws Error(data) naming
/// any other kind of scaling.
[[nodiscard]] Rotary rotary_from_gguf(GgufKeys& keys, const format::WeightFile& file, std::int64_t head_size);

}  // namespace twistor::model
