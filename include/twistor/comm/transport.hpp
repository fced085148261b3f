// SPDX-License-Identifier: Apache-2.0
// The choices of run.collectives.
#pragma once

#include <array>

#include "twistor/base/names.hpp"

namespace twistor::comm {

/// How tensors on a device go from rank to rank. automatic: by NCCL where every rank has a GPU of its own and
/// the library is there, else by MPI, for which a GPU's go through main memory.
enum class Transport { automatic, mpi, nccl };
constexpr auto names_of(Transport) {
  using enum Transport;
  return std::array{Named{automatic, "auto"}, Named{mpi, "mpi"}, Named{nccl, "nccl"}};
}

}  // namespace twistor::comm
