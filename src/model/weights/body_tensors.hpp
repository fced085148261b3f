// SPDX-License-Identifier: Apache-2.0
// The stored tensors that a decoder's hidden states come from, and their names. Private to the model room.
#pragma once

#include <string>
#include <vector>

#include "families/families.hpp"

namespace twistor::model {

enum class TensorRole { vector, table, matrix, transposed_matrix };

/// Calls f(tensor, role) for each tensor that is there: the last norm, positions, layer by layer, and the
/// embedding. A tensor may come several times; the output matrix never does.
template <class Source, class F>
void for_each_tensor(Source& source, const F& f) {
  const auto visit = [&](auto& tensor, TensorRole role) {
    if (tensor != nullptr) f(tensor, role);
  };
  const auto norm = [&](auto& n) {
    visit(n.weight, TensorRole::vector);
    visit(n.bias, TensorRole::vector);
  };
  const auto matrix = [&](auto& m) {
    for (auto& part : m.parts) {
      visit(part.weight, m.is_transposed ? TensorRole::transposed_matrix : TensorRole::matrix);
      visit(part.bias, TensorRole::vector);
    }
  };
  norm(source.final_norm);
  visit(source.positions, TensorRole::table);
  for (auto& layer : source.layers) {
    norm(layer.attention_norm);
    matrix(layer.qkv);
    norm(layer.q_norm);
    norm(layer.k_norm);
    matrix(layer.out);
    norm(layer.attention_post_norm);
    norm(layer.mlp_norm);
    matrix(layer.up);
    matrix(layer.down);
    norm(layer.mlp_post_norm);
  }
  visit(source.embedding, TensorRole::table);
}

/// transformer.h.0.attn.c_attn of transformer.h.0.attn.c_attn.weight.
[[nodiscard]] std::string module_name(const format::TensorInfo& tensor);
/// c_attn of it.
[[nodiscard]] std::string last_name(const format::TensorInfo& tensor);

}  // namespace twistor::model
