// SPDX-License-Identifier: Apache-2.0
// The instruction sets that kernels exist for, which of them this processor has, and which one is in use.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string_view>

#include "twistor/base/names.hpp"

namespace twistor::device {

/// From the weakest to the strongest; every processor that has one has all that stand before it. float32
/// kernels give the same bits on all of them; products of bfloat16 round differently on avx512_bf16 and on
/// amx_bf16, which have instructions of their own for them.
enum class Isa {
  avx2,         ///< x86-64-v3: AVX2 and FMA
  avx512,       ///< x86-64-v4: AVX-512 F, BW, CD, DQ, VL
  avx512_bf16,  ///< x86-64-v4 and AVX-512's products of bfloat16
  amx_bf16,     ///< avx512_bf16 and products of bfloat16 by tiles
};
constexpr auto names_of(Isa) {
  using enum Isa;
  return std::array{Named{avx2, "avx2"}, Named{avx512, "avx512"}, Named{avx512_bf16, "avx512_bf16"},
                    Named{amx_bf16, "amx_bf16"}};
}

/// The sets that kernels were compiled for, weakest first. *Local.*
[[nodiscard]] std::span<const Isa> compiled_isas();

/// The strongest compiled set that this processor has; none below x86-64-v3. *Local.*
[[nodiscard]] std::optional<Isa> best_isa();

/// What this process would use by itself: `wanted` (the value of TWISTOR_ISA; empty: the best there is).
/// Throws Error(config) when it is not a set's name, was not compiled, or the processor lacks it. *Local.*
[[nodiscard]] Isa choose_isa(std::string_view wanted);

/// The set in use: the one last given to use_isa(), at first choose_isa(TWISTOR_ISA). *Local.*
[[nodiscard]] Isa isa_in_use();

/// All kernels called from now on are those of `isa`; ranks that work together must use one. Not while
/// kernels run. Throws Error(config) when this processor lacks it. *Local.*
void use_isa(Isa isa);

/// Whether the set in use multiplies bfloat16 by instructions of its own; else such products are float32's,
/// of numbers that were rounded. *Local.*
[[nodiscard]] bool multiplies_bfloat16();

}  // namespace twistor::device
