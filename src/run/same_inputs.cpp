// SPDX-License-Identifier: Apache-2.0
// Comparing what ranks have read.
#include "twistor/run/same_inputs.hpp"

#include <fmt/format.h>

#include "twistor/base/error.hpp"
#include "twistor/comm/agreement.hpp"

namespace twistor::run {

void require_same(std::string_view what, std::string_view read, const comm::Communicator& world) {
  const int rank = comm::first_that_differs(read, world);
  TWISTOR_CHECK(rank < 0, ErrorKind::data, "comparing what the ranks have read",
                fmt::format("rank {} has read another {} than rank 0", rank, what),
                comm::hint_of_different_files);
}

comm::Communicator world_with(const Config& config) {
  comm::Communicator world = comm::Communicator::world();
  require_same("configuration", to_text(config), world);
  return world;
}

}  // namespace twistor::run
