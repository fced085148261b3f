// SPDX-License-Identifier: Apache-2.0
// 128-bit integers, which GCC and Clang offer as an extension.
#pragma once

namespace twistor {

__extension__ using Int128 = __int128;
__extension__ using UInt128 = unsigned __int128;

}  // namespace twistor
