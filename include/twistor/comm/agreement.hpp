// SPDX-License-Identifier: Apache-2.0
// Whether all ranks have read the same.
#pragma once

#include <string_view>

#include "twistor/comm/communicator.hpp"

namespace twistor::comm {

/// The lowest rank whose text is not that of rank 0, the same on every rank; -1 if all texts are equal.
/// *Collective over comm*, two collectives of 64 and 8 bytes.
[[nodiscard]] int first_that_differs(std::string_view text, const Communicator& comm);

/// What to do where they have not.
inline constexpr const char* hint_of_different_files =
    "the ranks see different versions of a file: a network file system that still shows an old one, or "
    "copies that are not equal on all nodes; wait and start again, or copy the file anew";

}  // namespace twistor::comm
