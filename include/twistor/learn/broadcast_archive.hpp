// SPDX-License-Identifier: Apache-2.0
// An archive for all ranks, whose large arrays exist once a node.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "twistor/comm/communicator.hpp"
#include "twistor/comm/node_memory.hpp"
#include "twistor/store/archive.hpp"

namespace twistor::learn {

/// The values of large arrays, in memory of the node, or of each rank where some node has no room.
struct LargeArrays {
  std::map<std::string, std::span<const float>, std::less<>> values;  ///< by the name of the dataset
  std::optional<comm::NodeMemory> shared;                             ///< what they look at
  std::vector<float> own;                                             ///< or this
};

/// Gives all ranks the first one's archive. Arrays of at least `large_from` float32 keep their shape and lose
/// their values, which are returned. *Collective over world*, and so is the end of what is returned.
[[nodiscard]] LargeArrays broadcast_archive(store::Archive& archive, std::size_t large_from,
                                            const comm::Communicator& world);

}  // namespace twistor::learn
