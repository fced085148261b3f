// Ranks agree on an instruction set.
#include "twistor/comm/instruction_set.hpp"

#include <fmt/format.h>

#include <cstdlib>

#include "twistor/base/log.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/device/isa.hpp"

namespace twistor::comm {

void agree_on_isa(const Communicator& world) {
  const char* wanted = std::getenv("TWISTOR_ISA");
  const auto own = static_cast<std::int64_t>(device::choose_isa(wanted == nullptr ? "" : wanted));
  const std::int64_t best = all_reduce_max(own, world), common = all_reduce_min(own, world);
  device::use_isa(static_cast<device::Isa>(common));
  if (world.rank() == 0 && common < best)
    log_warning(fmt::format("some ranks could use {}, but not all: all use {}",
                            name_of(static_cast<device::Isa>(best)),
                            name_of(static_cast<device::Isa>(common))));
}

}  // namespace twistor::comm
