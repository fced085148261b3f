// SPDX-License-Identifier: Apache-2.0
// Runs a piece of a test with each instruction set that this processor has.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "twistor/device/isa.hpp"

namespace twistor::test {

/// body(isa) with each set in use in turn, weakest first; then the one from before again.
template <class Body>
void with_every_isa(const Body& body) {
  const device::Isa before = device::isa_in_use();
  for (const device::Isa isa : device::compiled_isas()) {
    if (isa > device::best_isa()) break;
    SCOPED_TRACE(std::string(name_of(isa)));
    device::use_isa(isa);
    body(isa);
  }
  device::use_isa(before);
}

/// compute() must give the same with every set; returns it.
template <class Compute>
auto same_with_every_isa(const Compute& compute) {
  decltype(compute()) first{};
  bool is_first = true;
  with_every_isa([&](device::Isa) {
    auto result = compute();
    if (is_first)
      first = result;
    else
      EXPECT_TRUE(result == first) << "the bits differ from those of the weakest instruction set";
    is_first = false;
  });
  return first;
}

}  // namespace twistor::test
