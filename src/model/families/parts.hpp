// SPDX-License-Identifier: Apache-2.0
// What the readers of several families share: names of activations, tied heads, norms and linear layers.
// Private to the model room.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "families.hpp"
#include "tensor_search.hpp"

namespace twistor::model {

/// Bounds of sizes in configurations: far above any model, far below an overflow of their products.
inline constexpr std::int64_t most_width = 1 << 20;
inline constexpr std::int64_t most_layers = 1000;
inline constexpr std::int64_t most_head_size = 1 << 16;
inline constexpr std::int64_t most_tokens = 1 << 24;  // vocabulary, context

/// The activation of that name in config.json, by all its spellings; throws Error(data) with the list.
[[nodiscard]] ActivationKind activation_named(const format::JsonView& name);

/// A positive number; throws Error(data).
[[nodiscard]] double positive_number(const format::JsonView& number);

/// A boolean that may be missing.
[[nodiscard]] bool flag(const format::JsonView& config, std::string_view key, bool otherwise);

/// The first of `prefixes` under which the file has `name`, or the last one.
[[nodiscard]] std::string prefix_of(const format::WeightFile& file,
                                    std::initializer_list<std::string_view> prefixes, std::string_view name);

/// NAME.weight and, where the norm has one, NAME.bias, each (d).
[[nodiscard]] NormSource find_norm(TensorSearch& search, const std::string& name, std::int64_t d,
                                   bool has_bias);

/// NAME.weight (n, k) and, where there is one, NAME.bias (n).
[[nodiscard]] MatrixSource::Part find_linear(TensorSearch& search, const std::string& name, std::int64_t n,
                                             std::int64_t k, bool has_bias);

/// The output matrix `name` (V, D) of an untied model; nullptr for a tied one, whose file may hold a copy of
/// the embedding under that name. A note for finish() where it is missing; Error(data) if it is tied and
/// differs.
[[nodiscard]] const format::TensorInfo* find_head(TensorSearch& search, const format::WeightFile& file,
                                                  const std::string& name, const DecoderSource& source,
                                                  bool is_tied);

}  // namespace twistor::model
