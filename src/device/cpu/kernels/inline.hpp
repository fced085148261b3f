// SPDX-License-Identifier: Apache-2.0
// What all kernels begin with: the namespace of their instruction set, and functions that are never calls.
#pragma once

#ifndef TWISTOR_ISA
#error "define TWISTOR_ISA, the instruction set's name, before the kernels"
#endif

#define TWISTOR_INLINE [[gnu::always_inline]] inline
