// SPDX-License-Identifier: Apache-2.0
// Whether all ranks have read the same.
#pragma once

#include <string_view>

#include "twistor/comm/communicator.hpp"

namespace twistor::comm {

/// The lowest rank whose text is not that of rank 0, the same on every rank; -1 if all texts are equal.
/// *Collective over comm*, two collectives of 64 and 8 bytes.
[[nodiscard]] int first_that_differs(std::string_view text, const Communicator& comm);

}  // namespace twistor::comm
