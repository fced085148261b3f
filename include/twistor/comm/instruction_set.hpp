// One instruction set for all ranks.
#pragma once

#include "twistor/comm/communicator.hpp"

namespace twistor::comm {

/// Makes all ranks use the best set that all of them have, or the weakest that TWISTOR_ISA names on any. A
/// rank that gives something up is told of on rank 0. *Collective over world.* Throws Error(config) if
/// TWISTOR_ISA does not fit this processor.
void agree_on_isa(const Communicator& world);

}  // namespace twistor::comm
