// SPDX-License-Identifier: Apache-2.0
// The door to MPI's own handles, for this room and for libraries that want a communicator (HDF5): the only
// header with mpi.h.
#pragma once

#include <mpi.h>

#include <cstdint>
#include <source_location>
#include <type_traits>

#include "twistor/comm/communicator.hpp"

namespace twistor::comm {

/// MPI's handle as the opaque number that Communicator keeps: a pointer in Open MPI, an int in MPICH.
template <class Handle = MPI_Comm>
[[nodiscard]] std::uintptr_t to_opaque(Handle handle) noexcept {
  if constexpr (std::is_pointer_v<Handle>) {
    return reinterpret_cast<std::uintptr_t>(handle);
  } else {
    return static_cast<std::uintptr_t>(handle);
  }
}

/// The way back.
template <class Handle = MPI_Comm>
[[nodiscard]] Handle from_opaque(std::uintptr_t number) noexcept {
  if constexpr (std::is_pointer_v<Handle>) {
    return reinterpret_cast<Handle>(number);
  } else {
    return static_cast<Handle>(number);
  }
}

/// The MPI handle inside a Communicator, which stays its owner.
[[nodiscard]] inline MPI_Comm native(const Communicator& comm) noexcept {
  return from_opaque(comm.opaque());
}

/// Throws Error(peer) with MPI's own text for `code` and the name of the function in `call`.
[[noreturn]] void throw_mpi_error(int code, const char* call, const char* doing, std::source_location where);

}  // namespace twistor::comm

/// Every MPI call goes through this: throws Error(peer) unless it returned MPI_SUCCESS.
#define TWISTOR_MPI(call, doing)                                                                         \
  do {                                                                                                   \
    if (const int twistor_mpi_code = (call); twistor_mpi_code != MPI_SUCCESS) [[unlikely]]               \
      ::twistor::comm::throw_mpi_error(twistor_mpi_code, #call, doing, std::source_location::current()); \
  } while (false)
