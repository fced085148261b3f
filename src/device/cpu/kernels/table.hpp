// SPDX-License-Identifier: Apache-2.0
// The table of one instruction set: a source defines TWISTOR_ISA and includes this, and nothing else.
#pragma once

#include "attention.hpp"
#include "codes.hpp"
#include "product.hpp"
#include "product_bfloat16.hpp"
#include "rows.hpp"
#include "twistor/device/kernels.hpp"

namespace twistor::device::TWISTOR_ISA {

extern const Kernels table;
constinit const Kernels table{
    .tile_float32 = product::tile_float32,
    .tile_codes = codes::tile_codes,
    .tile_bfloat16 = product::tile_bfloat16,
    .prepared_words = product::prepared_words,
    .prepare_bfloat16 = product::prepare_bfloat16,
    .write_tile = product::write_tile,
    .layer_norm = rows::layer_norm,
    .rms_norm = rows::rms_norm,
    .gelu_tanh = rows::gelu_tanh,
    .gelu_erf = rows::gelu_erf,
    .relu = rows::relu,
    .tanh = rows::tanh,
    .silu = rows::silu,
    .soft_cap = rows::soft_cap,
    .times = rows::times,
    .rotate = rows::rotate,
    .max_of = rows::max_of,
    .sum_exp = rows::sum_exp,
    .exp_of = rows::exp_of,
    .attend_heads = attention::attend_heads,
    .attend_text_head = attention::attend_text_head,
    .dot_text_head = attention::dot_text_head,
};

}  // namespace twistor::device::TWISTOR_ISA
