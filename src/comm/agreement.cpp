// SPDX-License-Identifier: Apache-2.0
// Comparing digests.
#include "twistor/comm/agreement.hpp"

#include <cstdint>
#include <string>

#include "twistor/base/digest.hpp"
#include "twistor/comm/collectives.hpp"

namespace twistor::comm {

int first_that_differs(std::string_view text, const Communicator& comm) {
  const std::string mine = sha256_hex(text);
  std::string of_root = mine;
  broadcast(std::span(of_root.data(), of_root.size()), 0, comm);
  const std::int64_t none = comm.size();
  const std::int64_t first = all_reduce_min(mine == of_root ? none : std::int64_t{comm.rank()}, comm);
  return first == none ? -1 : static_cast<int>(first);
}

}  // namespace twistor::comm
